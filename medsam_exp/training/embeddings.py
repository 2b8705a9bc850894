"""CLIP embeddings for inference: of a batch of images, and of texts that many images share."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.finite import all_finite, first_broken_module, not_finite, refuse_broken_rows


def embed_images(clip: ClipModel, images: Tensor, ids: Sequence[str]) -> Tensor:
    """Un-normalised embeddings (B, D) float32 of preprocessed images (B, 3, h, w), without gradient.

    Args:
        clip: the adapter of a CLIP model.
        images: the last ones may be padding.
        ids: of the images.

    Raises:
        UserError: an embedding is not finite; names the image and where in the network it happened.
    """
    with torch.no_grad():
        embeddings: Tensor = clip.encode_image(images).float()
    refuse_broken_rows(
        embeddings,
        ids,
        "the embedding",
        "CLIP",
        lambda: first_broken_module(clip, lambda: clip.encode_image(images)),
    )
    return embeddings


class TextEmbeddings:
    """Embeds each text once.

    Args:
        clip: the adapter of a CLIP model.
    """

    def __init__(self, clip: ClipModel) -> None:
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
                    tokens = self._clip.tokenize([text]).to(device)
                    embedding = self._clip.encode_text(tokens)[0]
                if not all_finite(embedding):
                    raise not_finite(f"the embedding of the text {text!r}", "CLIP")
                self._known[text] = normalize(embedding.float(), dim=-1)
        return torch.stack([self._known[text] for text in texts]).mean(0)
