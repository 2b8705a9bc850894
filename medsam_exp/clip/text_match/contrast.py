"""Contrast of an image's own text with control texts, as CLIP sees what a mask covers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cosine_similarity

from medsam_exp.types import Mask, RGBImage, UserError

EMPTY = -2.0
"""Of an empty mask: the least that there can be, as its DSC is."""


@dataclass(frozen=True)
class TextMatch(ABC):
    """cos(v, t) - mean over k of cos(v, c_k), in [-2, 2]: v embeds what a mask covers, t the text, c_k control texts.

    The controls take away how well CLIP likes a picture whatever is said of it.

    Args:
        control_texts: that hold for no target.

    Raises:
        UserError: there are none.
    """

    control_texts: Sequence[str]

    def __post_init__(self) -> None:
        if not self.control_texts:
            raise UserError("text_match.control_texts is empty; give a text that holds for no target")

    @abstractmethod
    def view(self, image: RGBImage, mask: Mask) -> RGBImage:
        """What CLIP is shown of an (H, W, 3) image for an (H, W) mask that is not empty: (h, w, 3) uint8."""

    def scores(self, embeddings: Tensor, text: Tensor, controls: Tensor) -> Tensor:
        """Contrast (L,) float32 of L views.

        Args:
            embeddings: (L, D), any length, as the others.
            text: (D,).
            controls: (K, D).
        """
        own = cosine_similarity(embeddings, text[None], dim=-1)
        others = cosine_similarity(embeddings[:, None], controls[None], dim=-1)
        return own - others.mean(dim=1)
