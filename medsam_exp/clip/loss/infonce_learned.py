"""InfoNCE with a learned temperature, as CLIP was trained (arXiv:2103.00020), for training from scratch."""

import math

import torch
from torch import Tensor, nn

from medsam_exp.clip.loss.contrastive import cosine_similarity
from medsam_exp.clip.loss.infonce import symmetric_cross_entropy
from medsam_exp.types import UserError


class InfoNCELearned(nn.Module):
    """InfoNCE whose temperature starts wide and sharpens by gradient descent.

    The parameter is the logarithm of the inverse temperature, as in CLIP; it never passes the floor.

    Args:
        initial_temperature: tau at the start, above the floor.
        temperature_floor: smallest tau, > 0.

    Raises:
        UserError: the two temperatures are not 0 < floor <= initial.
    """

    def __init__(self, initial_temperature: float, temperature_floor: float) -> None:
        super().__init__()
        if not 0 < temperature_floor <= initial_temperature:
            raise UserError(
                f"loss.temperature_floor is {temperature_floor} and loss.initial_temperature "
                f"{initial_temperature}, but 0 < floor <= initial must hold."
            )
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(initial_temperature)))
        self._largest_scale = -math.log(temperature_floor)

    @property
    def temperature(self) -> Tensor:
        """The temperature in use now, a positive scalar."""
        return self.logit_scale.clamp(max=self._largest_scale).neg().exp()

    def forward(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        # The parameter itself is clamped, since past the floor it would need as many steps to return.
        with torch.no_grad():
            self.logit_scale.clamp_(max=self._largest_scale)
        logits = cosine_similarity(image_embedding, text_embedding) * self.logit_scale.exp()
        return symmetric_cross_entropy(logits)
