"""Text-driven medical image segmentation after MedCLIP-SAMv2 (arXiv 2409.19483)."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

__version__ = "0.2.0"

if TYPE_CHECKING:
    from medsam_exp.cli.run import run as run
    from medsam_exp.clip.load import load_clip as load_clip
    from medsam_exp.clip.loss.dhn_nce import DHNNCE as DHNNCE
    from medsam_exp.clip.loss.infonce import InfoNCE as InfoNCE
    from medsam_exp.clip.model import ClipModel as ClipModel
    from medsam_exp.data.folder import FolderDataset as FolderDataset
    from medsam_exp.data.image import ImageDataset as ImageDataset
    from medsam_exp.data.phantom.dataset import PhantomDataset as PhantomDataset
    from medsam_exp.masks.postprocess.kmeans import KMeans as KMeans
    from medsam_exp.metrics.overlap import (
        dice as dice,
        iou as iou,
    )
    from medsam_exp.metrics.paired import compare_pairs as compare_pairs
    from medsam_exp.metrics.scores import SegmentationMeasures as SegmentationMeasures
    from medsam_exp.saliency.gradcam import GradCAM as GradCAM
    from medsam_exp.saliency.m2ib import M2IB as M2IB
    from medsam_exp.sam.load import load_sam as load_sam
    from medsam_exp.sam.model import SamModel as SamModel
    from medsam_exp.sam.prompt.box import BoxPerComponent as BoxPerComponent
    from medsam_exp.stages.pipeline import (
        Stage as Stage,
        register_stage as register_stage,
    )
    from medsam_exp.types import (
        Prompts as Prompts,
        Sample as Sample,
        UserError as UserError,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "cli.run": ("run",),
            "clip.load": ("load_clip",),
            "clip.loss.dhn_nce": ("DHNNCE",),
            "clip.loss.infonce": ("InfoNCE",),
            "clip.model": ("ClipModel",),
            "data.folder": ("FolderDataset",),
            "data.image": ("ImageDataset",),
            "data.phantom.dataset": ("PhantomDataset",),
            "masks.postprocess.kmeans": ("KMeans",),
            "metrics.overlap": (
                "dice",
                "iou",
            ),
            "metrics.paired": ("compare_pairs",),
            "metrics.scores": ("SegmentationMeasures",),
            "saliency.gradcam": ("GradCAM",),
            "saliency.m2ib": ("M2IB",),
            "sam.load": ("load_sam",),
            "sam.model": ("SamModel",),
            "sam.prompt.box": ("BoxPerComponent",),
            "stages.pipeline": (
                "Stage",
                "register_stage",
            ),
            "types": (
                "Prompts",
                "Sample",
                "UserError",
            ),
        },
    )
