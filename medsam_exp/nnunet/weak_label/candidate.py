"""A zero-shot mask that is a candidate for a pseudo-label, with what the pipeline computed about it."""

from dataclasses import dataclass

from medsam_exp.types import Mask


@dataclass(frozen=True)
class Candidate:
    """One sample's zero-shot mask; nothing here comes from ground truth.

    Attributes:
        sample_id: of the mask.
        image_id: of its image; samples of several classes share one.
        class_name: what the mask shows, where the dataset says it.
        mask: (H, W) bool, the final mask, original frame.
        coarse_mask: (H, W) bool, the mask that the prompts were made from, original frame; None where there is none.
        iou_predictions: what SAM expects of the mask of each prompt, about [0, 1]; empty where SAM was not asked.
        presence: probability in [0, 1] that the image shows the target at all; None where no score was made.
    """

    sample_id: str
    image_id: str
    class_name: str | None
    mask: Mask
    coarse_mask: Mask | None
    iou_predictions: tuple[float, ...]
    presence: float | None
