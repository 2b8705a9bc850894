"""DCL, decoupled contrastive learning (Yeh 2022), for images and texts: the paper's equations 6 to 8."""

from dataclasses import dataclass

from torch import Tensor

from medsam_exp.clip.loss.similarity import cosine_similarity, require_positive_temperature, strangers


@dataclass(frozen=True)
class DCL:
    """InfoNCE without the own partner among those it is compared with, so that easy pairs still teach.

    With s_ij the cosine of image i and text j, and tau the temperature:
    L = mean_i [ -2 s_ii / tau + log sum_{j != i} exp(s_ij / tau) + log sum_{j != i} exp(s_ji / tau) ].

    Args:
        temperature: tau > 0; small values look at the hardest pairs only.

    Raises:
        UserError: the temperature is not positive.
    """

    temperature: float

    def __post_init__(self) -> None:
        require_positive_temperature(self.temperature)

    def __call__(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        logits = cosine_similarity(image_embedding, text_embedding) / self.temperature
        return (_one_direction(logits) + _one_direction(logits.T)).mean()


def _one_direction(logits: Tensor) -> Tensor:
    """Loss (B,) of each row of (B, B) logits."""
    return strangers(logits).logsumexp(1) - logits.diagonal()
