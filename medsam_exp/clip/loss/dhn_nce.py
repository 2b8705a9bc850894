"""DHN-NCE, decoupled hard-negative noise contrastive estimation: the paper's equations 9 to 13."""

from dataclasses import dataclass

from torch import Tensor

from medsam_exp.clip.loss.hn_nce import hard_strangers
from medsam_exp.clip.loss.similarity import cosine_similarity, require_hardness, require_positive_temperature


@dataclass(frozen=True)
class DHNNCE:
    """Pulls partners together and pushes strangers apart, the closest strangers hardest.

    With s_ij the cosine of image i and text j, and tau the temperature:
    L = mean_i [ -s_ii / tau + log sum_{j != i} W_ij exp(s_ij / tau) ] from images to texts (equation 9), plus the
    same from texts to images (10), with W_ij = (B - 1) exp(beta s_ij / tau) / sum_{k != i} exp(beta s_ik / tau)
    (12, 13). The paper sums over i; the mean keeps the learning rate independent of the batch's size.

    Args:
        temperature: tau > 0; small values look at the hardest pairs only.
        beta_image: beta_1 >= 0, hardness of strange texts for an image; 0 weighs them equally (DCL).
        beta_text: beta_2 >= 0, hardness of strange images for a text.

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
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        logits = cosine_similarity(image_embedding, text_embedding) / self.temperature
        from_images = hard_strangers(logits, self.beta_image) - logits.diagonal()
        from_texts = hard_strangers(logits.T, self.beta_text) - logits.diagonal()
        return (from_images + from_texts).mean()
