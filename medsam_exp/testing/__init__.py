"""Checks that every method, dataset and measure must pass, of this package or of yours; they need no test runner."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.testing.data import (
        check_dataset as check_dataset,
        check_text as check_text,
    )
    from medsam_exp.testing.masks import (
        check_component_filter as check_component_filter,
        check_mask_filter as check_mask_filter,
        check_postprocess as check_postprocess,
        check_presence as check_presence,
        check_veto as check_veto,
    )
    from medsam_exp.testing.metrics import check_metrics as check_metrics
    from medsam_exp.testing.saliency import (
        check_saliency as check_saliency,
        check_text_saliency as check_text_saliency,
    )
    from medsam_exp.testing.sam import (
        check_fusion as check_fusion,
        check_prompter as check_prompter,
        check_sam as check_sam,
    )
    from medsam_exp.testing.training import (
        check_loss as check_loss,
        check_nnunet_schedule as check_nnunet_schedule,
        check_pruner as check_pruner,
        check_weak_label as check_weak_label,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "data": (
                "check_dataset",
                "check_text",
            ),
            "masks": (
                "check_component_filter",
                "check_mask_filter",
                "check_postprocess",
                "check_presence",
                "check_veto",
            ),
            "metrics": ("check_metrics",),
            "saliency": (
                "check_saliency",
                "check_text_saliency",
            ),
            "sam": (
                "check_fusion",
                "check_prompter",
                "check_sam",
            ),
            "training": (
                "check_loss",
                "check_nnunet_schedule",
                "check_pruner",
                "check_weak_label",
            ),
        },
    )
