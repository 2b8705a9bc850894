"""What the published code computes under the name DHN-NCE; for reproducing its runs only.

It is not the paper's loss. Logits are masked by multiplying them with zero, which leaves exp(0) = 1 in the sums; the
logarithm is taken of each single negative instead of their sum; and so the normaliser enters with the wrong sign:
negatives closer than average are pulled together, the harder the closer, and distant ones are pushed away.
"""

import math

from torch import Tensor
from torch.nn.functional import softplus

from medsam_exp.clip.loss.contrastive import HardNegativeLoss, negatives


class DHNNCEReleased(HardNegativeLoss):
    """The published code's value, derived in closed form (its alpha at 0, as in its script).

    With l_ij = s_ij / tau and Z_i = 1 + sum_{k != i} exp(l_ik):
    L = [ -sum_i l_ii + (1 + beta) sum_{i != j} l_ij ] / B^2 + log(B - 1) - mean_i log Z_i, for images to texts plus
    the same for texts to images. Its derivative for a negative is [(1 + beta) - B exp(l_ij) / Z_i] / B^2: negative
    for the hard ones, which are drawn closer. Use `dhn_nce` to train.

    Arguments are those of `HardNegativeLoss`.
    """

    def one_direction(self, logits: Tensor, beta: float) -> Tensor:
        """Scalar of (B, B) logits."""
        batch, positives = len(logits), logits.diagonal().sum()
        pulls = ((1 + beta) * (logits.sum() - positives) - positives) / batch**2
        normaliser = softplus(negatives(logits).logsumexp(1))  # log(1 + sum of exponentials)
        return pulls + math.log(batch - 1) - normaliser.mean()
