"""Selects confident pseudo-labels by limits on predicted IoU, presence, agreement and area."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import UserError

_COMPUTED_BY = {
    "min_iou_prediction": ("IoU predicted by SAM", "sam_mask"),
    "min_presence": ("presence score", "presence"),
    "min_saliency_agreement": ("coarse mask", "coarse_mask"),
}
"""What a limit acts on, and the stage that computes it."""


@dataclass(frozen=True)
class Confident:
    """Drops a mask that one of the limits speaks against; a limit of None is not applied.

    Args:
        min_iou_prediction: least IoU that SAM expects of any prompt's mask: the worst part of a mask decides.
        min_presence: least probability that the image shows the target.
        min_saliency_agreement: least DSC of the final mask with the coarse mask, which is what the saliency map
            found. SAM's mask fits an outline better, but where it is another region, SAM has left what was asked for.
        min_area: least area of the mask, as a share of the image.
        max_area: largest area of the mask, as a share of the image.
        keep_empty: whether an empty mask is kept (as a label "nothing here", on which no limit acts) or dropped (as
            a target that was not found).

    Raises:
        UserError: a limit is outside [0, 1], or no area lies between the two.
    """

    source: ClassVar[Literal["zero_shot"]] = "zero_shot"

    min_iou_prediction: float | None
    min_presence: float | None
    min_saliency_agreement: float | None
    min_area: float | None
    max_area: float | None
    keep_empty: bool = False

    def __post_init__(self) -> None:
        limits = {name: limit for name, limit in asdict(self).items() if name != "keep_empty"}
        for name, limit in limits.items():
            if limit is not None and not 0 <= limit <= 1:
                raise UserError(f"weak_label.{name}={limit}, but it must be in [0, 1], or null for no limit")
        if self.min_area is not None and self.max_area is not None and self.min_area > self.max_area:
            raise UserError(
                f"weak_label.min_area={self.min_area} is above weak_label.max_area={self.max_area}: no mask would pass"
            )

    def __call__(self, candidate: Candidate) -> str | None:
        """Say why to drop a mask, all reasons with their numbers; None to keep it.

        Raises:
            UserError: a limit is set on something that was not computed; says which stage computes it.
        """
        if not candidate.mask.any():
            return None if self.keep_empty else "the mask is empty"
        return "; ".join(self._reasons(candidate)) or None

    def _reasons(self, candidate: Candidate) -> Iterator[str]:
        coarse, area = candidate.coarse_mask, float(candidate.mask.mean())
        agreement = None if coarse is None else dice(candidate.mask, coarse)
        measured = {
            "min_iou_prediction": ("predicted IoU", min(candidate.iou_predictions, default=None)),
            "min_presence": ("presence", candidate.presence),
            "min_saliency_agreement": ("agreement with the saliency", agreement),
            "min_area": ("share of the image", area),
        }
        for limit_name, (name, value) in measured.items():
            limit = getattr(self, limit_name)
            if limit is None:
                continue
            if value is None:
                what, stage = _COMPUTED_BY[limit_name]
                raise UserError(
                    f"weak_label.{limit_name} is set, but {candidate.sample_id} has no {what}: add '{stage}' to "
                    f"label_stages, or set weak_label.{limit_name}=null"
                )
            if value < limit:
                yield f"{name} {value:.4g} below {limit:g}"
        if self.max_area is not None and area > self.max_area:
            yield f"share of the image {area:.4g} above {self.max_area:g}"
