"""Control without any network: the brightness of the image itself."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import SaliencyMethod


class Intensity(SaliencyMethod):
    """Takes brightness as saliency, independent of the text.

    With `postprocess=otsu` it is Otsu's threshold of the raw image (Otsu 1979), at the network's resolution:
    what a text-driven method must beat. Dark targets are missed, by design.
    """

    uses_text: ClassVar[bool] = False
    needs: ClassVar[Capability | None] = None
    of_patches: ClassVar[bool] = False

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Return (B, h, w) float32, the mean over the channels of preprocessed images (B, 3, h, w)."""
        return images.float().mean(dim=1)
