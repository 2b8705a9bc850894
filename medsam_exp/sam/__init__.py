"""SAM: an image and visual prompts go in, masks in the original frame come out."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.sam.fusion.average import AverageMask as AverageMask
    from medsam_exp.sam.fusion.best_iou import BestIou as BestIou
    from medsam_exp.sam.fusion.iou_weighted import IouWeightedMask as IouWeightedMask
    from medsam_exp.sam.fusion.single import SingleMask as SingleMask
    from medsam_exp.sam.fusion.staple import StapleMask as StapleMask
    from medsam_exp.sam.load import (
        load_sam as load_sam,
        save_sam as save_sam,
    )
    from medsam_exp.sam.model import SamModel as SamModel
    from medsam_exp.sam.prompt.both import BoxAndPoints as BoxAndPoints
    from medsam_exp.sam.prompt.box import BoxPerComponent as BoxPerComponent
    from medsam_exp.sam.prompt.box_all import BoxAroundAll as BoxAroundAll
    from medsam_exp.sam.prompt.center_box import CenterBox as CenterBox
    from medsam_exp.sam.prompt.given import GivenPrompts as GivenPrompts
    from medsam_exp.sam.prompt.points import PointsPerComponent as PointsPerComponent
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "fusion.average": ("AverageMask",),
            "fusion.best_iou": ("BestIou",),
            "fusion.iou_weighted": ("IouWeightedMask",),
            "fusion.single": ("SingleMask",),
            "fusion.staple": ("StapleMask",),
            "load": (
                "load_sam",
                "save_sam",
            ),
            "model": ("SamModel",),
            "prompt.both": ("BoxAndPoints",),
            "prompt.box": ("BoxPerComponent",),
            "prompt.box_all": ("BoxAroundAll",),
            "prompt.center_box": ("CenterBox",),
            "prompt.given": ("GivenPrompts",),
            "prompt.points": ("PointsPerComponent",),
        },
    )
