from .context import AuxiliaryImages as AuxiliaryImages
from .context import StageContext as StageContext
from .pipeline import (
    STAGES as STAGES,
)
from .pipeline import (
    Stage as Stage,
)
from .pipeline import (
    register_stage as register_stage,
)
from .pipeline import (
    stage_colour as stage_colour,
)
from .pipeline import (
    stage_title as stage_title,
)
