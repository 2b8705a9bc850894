"""Any saliency method on the image padded to a square, so that nothing is squashed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.geometry import Geometry, Pad
from medsam_exp.saliency.wrapper import Wrapper


@dataclass(frozen=True, kw_only=True)
class Padded(Wrapper):
    """`inner` in the frame of `Pad`: the aspect ratio is kept, bars of the mean colour fill the network's square.

    Args:
        inner: any saliency method; its own frame gives way.
    """

    needs: ClassVar[Capability | None] = None

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """As the inner method's."""
        return self.inner(clip, images, text_embedding, generators)

    def geometry(self, clip: ClipModel) -> Geometry:
        """Padded to the network's square, and back without the bars."""
        return Pad(clip.preprocess)
