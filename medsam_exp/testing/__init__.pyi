from .data import check_dataset as check_dataset
from .data import check_text as check_text
from .masks import (
    check_component_filter as check_component_filter,
)
from .masks import (
    check_mask_filter as check_mask_filter,
)
from .masks import (
    check_postprocess as check_postprocess,
)
from .masks import (
    check_presence as check_presence,
)
from .masks import (
    check_veto as check_veto,
)
from .metrics import check_metrics as check_metrics
from .saliency import check_saliency as check_saliency
from .saliency import check_text_saliency as check_text_saliency
from .sam import check_fusion as check_fusion
from .sam import check_prompter as check_prompter
from .sam import check_sam as check_sam
from .training import (
    check_loss as check_loss,
)
from .training import (
    check_nnunet_schedule as check_nnunet_schedule,
)
from .training import (
    check_pruner as check_pruner,
)
from .training import (
    check_weak_label as check_weak_label,
)
