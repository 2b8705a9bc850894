"""The stages of the pipeline: their table, what each is given, and one module for each."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.stages.context import (
        AuxiliaryImages as AuxiliaryImages,
        StageContext as StageContext,
    )
    from medsam_exp.stages.pipeline import (
        STAGES as STAGES,
        Stage as Stage,
        register_stage as register_stage,
        stage_colour as stage_colour,
        stage_title as stage_title,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "context": (
                "AuxiliaryImages",
                "StageContext",
            ),
            "pipeline": (
                "STAGES",
                "Stage",
                "register_stage",
                "stage_colour",
                "stage_title",
            ),
        },
    )
