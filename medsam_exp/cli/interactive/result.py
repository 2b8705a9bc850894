"""What the pipeline found in one image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from medsam_exp.cli.interactive.request import Question
from medsam_exp.stages.records import prompt_record
from medsam_exp.types import Mask, Prompts, RGBImage, SaliencyMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Draft:
    """A first saliency map of one forward pass, to look at until the chosen method's is there; nothing builds on it.

    Attributes:
        text: what was asked for.
        image: (H, W, 3) uint8.
        saliency_map: (H, W) float32 in [0, 1], original frame.
        method: that drew it, as `saliency=` names it.
    """

    text: str
    image: RGBImage
    saliency_map: SaliencyMap
    method: str


@dataclass(frozen=True)
class RivalMask:
    """What a text-prompted segmenter says of the same image and text.

    Attributes:
        mask: (H, W) bool, original frame.
        presence: its own, in [0, 1].
    """

    mask: Mask
    presence: float


@dataclass(frozen=True)
class Answer:
    """Every step from an image and a text to a mask, all in the original frame.

    Attributes:
        question: what was asked.
        image_id: the file's stem.
        image: (H, W, 3) uint8.
        saliency_map: (H, W) float32 in [0, 1].
        coarse_mask: (H, W) bool.
        automatic: visual prompts of the coarse mask.
        prompts: those that SAM was asked; others than the automatic ones after a correction.
        mask: (H, W) bool, SAM's.
        iou_predictions: what SAM expects of the mask of each prompt.
        presence: score in [0, 1] that the text's target is there.
        calibrated_on: the masks that make the score a probability; None where it only ranks.
        vetoed: whether the score emptied the masks.
        seconds: that each step took; "preparation" is configuration, checks and reading.
        reused: steps whose result was there already.
        caution: what must stand beside the answer, one sentence; "" for nothing.
        cfg: the checked configuration.
        embedding: (C, g, g) float32 of the image, by SAM.
        rival: a text-prompted segmenter's answer; None where none was chosen.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import Answer, segment
        >>> found = segment(np.zeros((64, 80), np.uint8), "a bright round lesion", saliency="patch_text")
        >>> isinstance(found, Answer), found.image.shape, found.coarse_mask.shape
        (True, (64, 80, 3), (64, 80))
    """

    question: Question
    image_id: str
    image: RGBImage
    saliency_map: SaliencyMap
    coarse_mask: Mask
    automatic: Prompts
    prompts: Prompts
    mask: Mask
    iou_predictions: Sequence[float]
    presence: float
    calibrated_on: str | None
    vetoed: bool
    seconds: Mapping[str, float]
    reused: tuple[str, ...]
    caution: str
    cfg: DictConfig = field(repr=False)
    embedding: NDArray[np.float32] = field(repr=False)
    rival: RivalMask | None = None

    @property
    def shown_iou_predictions(self) -> tuple[float, ...]:
        """What SAM expects of its masks; none of an empty mask or under a caution, as it then tells nothing."""
        return () if self.caution or not self.mask.any() else tuple(self.iou_predictions)

    def plot(self) -> "Figure":
        """Draw the image with coarse mask, prompts and mask, as a figure of Matplotlib."""
        from medsam_exp.cli.interactive.overlay import overlay

        return overlay(self.image, {"": self.mask}, self.coarse_mask, self.prompts)

    def record(self) -> dict[str, Any]:
        """Scores, prompts, timings and the command, JSON-able."""
        height, width = self.mask.shape
        return {
            "image": str(self.question.image),
            "id": self.image_id,
            "size": [height, width],
            "text": self.question.text,
            "presence": {"score": self.presence, "calibrated_on": self.calibrated_on, "vetoed": self.vetoed},
            "iou_predictions": list(self.iou_predictions),
            "area_px": {"coarse_mask": int(self.coarse_mask.sum()), "mask": int(self.mask.sum())},
            **self._record_of_rival(),
            "prompts": prompt_record(self.prompts),
            **({"caution": self.caution} if self.caution else {}),
            "corrected": self.question.prompts is not None,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "reused": list(self.reused),
            "command": self.question.command(),
        }

    def _record_of_rival(self) -> dict[str, Any]:
        if self.rival is None:
            return {}
        return {"text_mask": {"presence": self.rival.presence, "area_px": int(self.rival.mask.sum())}}
