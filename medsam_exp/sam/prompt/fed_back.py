"""SAM's own mask, given back to it once with the prompt (cascaded refinement)."""

from dataclasses import dataclass, replace

import numpy as np

from medsam_exp.sam.prompt.wrapper import Wrapped
from medsam_exp.types import Prompts, SaliencyMap


@dataclass(frozen=True)
class FedBack(Wrapped):
    """Asks twice: with a prompt, then with the same prompt and the mask that SAM trusts most of its first answer.

    The logits go back as SAM gave them, as it was trained (Kirillov 2023, arXiv 2304.02643, appendix A) and as PerSAM
    refines (Zhang 2023, arXiv 2305.03048). PerSAM asks a third time with the box of the second mask; this does not. A
    mask prompt of the inner choice holds for the first time only.
    """

    @property
    def gives_masks(self) -> bool:
        """SAM's own."""
        return True

    def changed(self, prompts: Prompts, saliency_map: SaliencyMap, generator: np.random.Generator) -> Prompts:
        """The same prompts, to be asked twice."""
        return replace(prompts, feeds_back=True)
