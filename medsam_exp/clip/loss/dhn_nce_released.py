"""What the published code computes under the name DHN-NCE; for reproducing its runs only.

It is not the paper's loss. Logits are masked by multiplying them with zero, which leaves exp(0) = 1 in the sums; the
logarithm is taken of each single stranger instead of their sum; and so the normaliser enters with the wrong sign:
strangers closer than average are pulled together, the harder the closer, and distant ones are pushed away.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.clip.loss.similarity import (
    cosine_similarity,
    require_hardness,
    require_positive_temperature,
    strangers,
)


@dataclass(frozen=True)
class DHNNCEReleased:
    """The published code's value, derived in closed form (its alpha at 0, as in its script).

    With l_ij = s_ij / tau and Z_i = 1 + sum_{k != i} exp(l_ik):
    L = [ -sum_i l_ii + (1 + beta) sum_{i != j} l_ij ] / B^2 + log(B - 1) - mean_i log Z_i, for images to texts plus
    the same for texts to images. Its derivative for a stranger is [(1 + beta) - B exp(l_ij) / Z_i] / B^2: negative
    for the hard ones, which are drawn closer. Use `dhn_nce` to train.

    Args:
        temperature: tau > 0.
        beta_image: hardness >= 0 of strange texts for an image.
        beta_text: hardness >= 0 of strange images for a text.

    Raises:
        UserError: a value is out of its range.
    """

    temperature: float
    beta_image: float
    beta_text: float

    def __post_init__(self) -> None:
        require_positive_temperature(self.temperature)
        require_hardness(self.beta_image, self.beta_text)

    def __call__(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        logits = cosine_similarity(image_embedding, text_embedding) / self.temperature
        return _one_direction(logits, self.beta_image) + _one_direction(logits.T, self.beta_text)


def _one_direction(logits: Tensor, beta: float) -> Tensor:
    batch, own = len(logits), logits.diagonal().sum()
    pulls = ((1 + beta) * (logits.sum() - own) - own) / batch**2
    normaliser = torch.nn.functional.softplus(strangers(logits).logsumexp(1))  # log(1 + sum of exponentials)
    return pulls + math.log(batch - 1) - normaliser.mean()
