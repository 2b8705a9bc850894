"""DCL, decoupled contrastive learning (Yeh 2022, arXiv:2110.06848): the paper's equations 6 to 8."""

from torch import Tensor

from medsam_exp.clip.loss.contrastive import FixedTemperatureLoss, negatives


class DCL(FixedTemperatureLoss):
    """InfoNCE without the positive pair in the denominator, so that easy pairs keep a gradient.

    With s_ij the cosine of image i and text j, and tau the temperature:
    L = mean_i [ -2 s_ii / tau + log sum_{j != i} exp(s_ij / tau) + log sum_{j != i} exp(s_ji / tau) ].

    Arguments are those of `FixedTemperatureLoss`.
    """

    def forward(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        logits = self.logits(image_embedding, text_embedding)
        image_to_text = negatives(logits).logsumexp(1) - logits.diagonal()
        text_to_image = negatives(logits.T).logsumexp(1) - logits.diagonal()
        return (image_to_text + text_to_image).mean()
