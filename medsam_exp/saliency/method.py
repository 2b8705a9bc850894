"""Base of all saliency methods: relevance of image patches to a text, and the map in the image's frame."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.geometry import Geometry, Squash
from medsam_exp.types import UserError


class SaliencyMethod(ABC):
    """Turns images and texts into relevance, each image for itself.

    Attributes:
        uses_text: False for methods that give the same map whatever the text says.
        needs: what the vision tower must offer; None for methods that run no network.
        of_patches: whether the relevance has one value for each patch of a vision transformer.
    """

    uses_text: ClassVar[bool] = True
    needs: ClassVar[Capability | None] = "features"
    of_patches: ClassVar[bool] = True

    @abstractmethod
    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance of each patch of each image to the image's own text.

        Args:
            clip: given back as it was (mode, weights, gradients, hooks, flags).
            images: (B, 3, h, w), preprocessed by `geometry`.
            text_embedding: (B, D), any length; row i belongs to image i.
            generators: B generators; the i-th alone decides the randomness of image i.

        Returns:
            (B, gh, gw) float32, any unit.

        Raises:
            UserError: the vision tower does not offer what the method needs.
        """

    def geometry(self, clip: ClipModel) -> Geometry:
        """How an image enters the network and its relevance returns: squashed to the network's square and back."""
        return Squash(clip.preprocess)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Keep a network in evaluation mode and its parameters without gradient; restore both, also after an error."""
    training = [part for part in module.modules() if part.training]
    wanting = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.eval()
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)
        for part in training:
            part.training = True


def unit(values: Tensor, dim: int | tuple[int, ...] = (1, 2)) -> Tensor:
    """Values scaled to [0, 1] over `dim`, which is each grid of (B, gh, gw); all zero where they are constant."""
    low, high = values.amin(dim, keepdim=True), values.amax(dim, keepdim=True)
    return (values - low) / (high - low).where(high > low, 1)


def at_least_one(name: str, value: int) -> None:
    """Refuse a count below 1.

    Raises:
        UserError: it is.
    """
    if value < 1:
        raise UserError(f"saliency.{name} must be at least 1, but is {value}.")
