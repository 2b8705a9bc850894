"""Embeddings of texts that many images share."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.runtime.finite import all_finite, not_finite


class TextEmbeddings:
    """Embeds each text once.

    Args:
        clip: the adapter of a CLIP model.
    """

    def __init__(self, clip: torch.nn.Module) -> None:
        self._clip = clip
        self._known: dict[str, Tensor] = {}

    def mean_of(self, texts: tuple[str, ...], device: torch.device) -> Tensor:
        """Mean of the unit embeddings of one image's texts, (D,).

        Each text is encoded alone, so that its embedding does not depend on which others are asked for.

        Raises:
            UserError: an embedding is not finite.
        """
        for text in texts:
            if text not in self._known:
                with torch.no_grad():
                    tokens = self._clip.tokenize([text]).to(device)  # type: ignore[operator]
                    embedding = self._clip.encode_text(tokens)[0]  # type: ignore[operator]
                if not all_finite(embedding):
                    raise not_finite(f"the embedding of the text {text!r}", "CLIP")
                self._known[text] = normalize(embedding.float(), dim=-1)
        return torch.stack([self._known[text] for text in texts]).mean(0)
