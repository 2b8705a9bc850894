"""Features for target presence (absence detection) from the zero-shot pipeline."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

MATCH_FEATURES = ("match", "over_absence", "over_nonsense", "share")
RELEVANCE_FEATURES = ("relevance_total", "relevance_peak", "concentration")
FEATURES = (*MATCH_FEATURES, "similarity_drop", *RELEVANCE_FEATURES)
"""All of them, by name.

- match: cosine of image and text.
- over_absence: that minus the greatest cosine with a text that says that nothing is there.
- over_nonsense: that minus the greatest cosine with a text that is true of no scan.
- share: of the text in the softmax over itself and all those texts, at the model's own temperature.
- similarity_drop: what the cosine loses when the salient region is painted over.
- relevance_total, relevance_peak: of the map before it is scaled to [0, 1], in the method's unit (M2IB: nats).
- concentration: share of the relevance that lies in the most relevant tenth of the patches.
"""
_SALIENT = 0.5  # of the map's peak


def match_features(
    image: Tensor, text: Tensor, absence: Tensor, nonsense: Tensor, inverse_temperature: float
) -> dict[str, float]:
    """Similarity of an image and a text, and its margin over contrasting texts.

    Args:
        image: (D,) embedding, any length, as the others.
        text: (D,).
        absence: (K, D), K >= 1, of texts that say that nothing is there.
        nonsense: (K, D), K >= 1, of texts that are true of no scan.
        inverse_temperature: factor of the cosines before the softmax, as the model was trained with.
    """
    cosines = normalize(torch.cat([text[None], absence, nonsense]).double(), dim=-1) @ normalize(
        image.double(), dim=-1
    )
    match, of_absence, of_nonsense = cosines[0], cosines[1 : 1 + len(absence)], cosines[1 + len(absence) :]
    return {
        "match": float(match),
        "over_absence": float(match - of_absence.max()),
        "over_nonsense": float(match - of_nonsense.max()),
        "share": float((inverse_temperature * cosines).softmax(0)[0]),
    }


def relevance_features(relevance: NDArray[np.float32]) -> dict[str, float]:
    """Total, peak and spatial concentration of a relevance map.

    Args:
        relevance: (gh, gw) finite, not normalised.
    """
    values = np.sort(relevance.astype(np.float64), axis=None)[::-1]
    total = values.sum()
    most = values[: max(1, len(values) // 10)].sum()
    return {
        "relevance_total": float(total),
        "relevance_peak": float(values[0]),
        "concentration": float(most / total) if total > 0 else 0.0,
    }


def paint_over_salient(images: Tensor, maps: Tensor) -> Tensor:
    """Replace salient pixels by the mean colour of the other pixels.

    Args:
        images: (B, 3, h, w), preprocessed.
        maps: (B, h, w) in [0, 1], same frame; above half of its peak a map is salient.

    Returns:
        (B, 3, h, w); an image whose map is all zero, or salient everywhere, stays as it is.
    """
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    salient = (maps >= _SALIENT * peaks) & (peaks > 0)
    rest = (~salient)[:, None].to(images.dtype)
    count = rest.sum(dim=(2, 3), keepdim=True)
    mean = (images * rest).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
    return torch.where(salient[:, None] & (count > 0), mean, images)


def network_fingerprint(network: nn.Module) -> str:
    """Hash of a network's weights, 16 hex digits, independent of files."""
    hasher = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        hasher.update(name.encode())
        hasher.update(values.detach().float().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]
