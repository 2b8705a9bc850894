"""Presence features against plain arithmetic."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from medsam_exp.masks.presence.features import (
    match_features,
    network_fingerprint,
    paint_over_salient,
    relevance_features,
)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    x, y = a.tolist(), b.tolist()
    dot = math.fsum(p * q for p, q in zip(x, y, strict=True))
    return dot / math.sqrt(math.fsum(p * p for p in x) * math.fsum(q * q for q in y))


def test_match_features_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = torch.randn((2, 5), generator=generator)
    absence, nonsense = torch.randn((3, 5), generator=generator), torch.randn((2, 5), generator=generator)
    found = match_features(image, 3 * text, absence, nonsense, 7.0)
    own = cosine(image, text)
    of_absence, of_nonsense = ([cosine(image, row) for row in rows] for rows in (absence, nonsense))
    assert found["match"] == pytest.approx(own, abs=1e-6)
    assert found["over_absence"] == pytest.approx(own - max(of_absence), abs=1e-6)
    assert found["over_nonsense"] == pytest.approx(own - max(of_nonsense), abs=1e-6)
    total = sum(math.exp(7 * value) for value in (own, *of_absence, *of_nonsense))
    assert found["share"] == pytest.approx(math.exp(7 * own) / total, abs=1e-6)


def test_relevance_features_by_hand() -> None:
    relevance = np.arange(20, dtype=np.float32).reshape(4, 5)
    assert relevance_features(relevance) == {
        "relevance_total": 190.0,
        "relevance_peak": 19.0,
        "concentration": pytest.approx((19 + 18) / 190),
    }
    assert relevance_features(np.zeros((3, 3), np.float32))["concentration"] == 0
    assert relevance_features(np.full((1, 1), 2, np.float32))["concentration"] == 1


def test_the_salient_region_gets_the_mean_colour_of_the_rest() -> None:
    images = torch.randn((3, 3, 4, 5), generator=torch.Generator().manual_seed(1))
    maps = torch.zeros(3, 4, 5)
    maps[0, 1, 2], maps[0, 1, 3], maps[0, 3, 3] = 0.8, 0.5, 0.3
    maps[2] = 1
    painted = paint_over_salient(images, maps)
    rest = torch.ones(4, 5, dtype=torch.bool)
    rest[1, 2] = rest[1, 3] = False
    for channel in range(3):
        expected = images[0, channel].clone()
        expected[~rest] = images[0, channel][rest].mean()
        assert torch.allclose(painted[0, channel], expected)
    assert torch.equal(painted[1], images[1]), "an empty map paints over nothing"
    assert torch.equal(painted[2], images[2]), "nothing would be left to take the colour from"


def test_a_fingerprint_is_of_the_weights() -> None:
    one, same, other = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)
    same.load_state_dict(one.state_dict())
    assert network_fingerprint(one) == network_fingerprint(same)
    assert network_fingerprint(one) != network_fingerprint(other)
