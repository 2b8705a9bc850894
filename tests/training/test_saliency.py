"""The random numbers of a saliency map: each image's own, whatever images it shares a batch with."""

from typing import Any

import pytest
import torch

from medsam_exp.saliency.geometry import Squash
from medsam_exp.training.prediction import ImageBatch
from medsam_exp.training.saliency import ImageSaliency
from medsam_exp.types import SaliencyMap


class Clip(torch.nn.Module):
    """Embeds every text as ones."""

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        return torch.zeros(len(texts), 3, dtype=torch.int64)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(tokens), 4)


class Noise:
    """A method whose relevance is the first random numbers of each image."""

    def geometry(self, clip: Any) -> Squash:
        return Squash(lambda image: torch.from_numpy(image))

    def __call__(self, clip: Any, images: torch.Tensor, texts: Any, generators: Any) -> torch.Tensor:
        return torch.stack([torch.rand(4, 4, generator=generator) for generator in generators])


def maps(*ids: str, seed: int = 0) -> dict[str, SaliencyMap]:
    texts = {"text": dict.fromkeys(ids, ("a lesion",))}
    answers = ImageSaliency(Clip(), Noise(), texts, seed)  # type: ignore[arg-type]
    found = answers(ImageBatch(ids, ((4, 4),) * len(ids), torch.zeros(len(ids), 3, 4, 4)))
    return {sample_id: results["text"].saliency_map for sample_id, results in found}


def test_each_image_has_its_own_noise() -> None:
    found = maps("a", "b")
    assert found["a"] != pytest.approx(found["b"])
    assert found["a"] != pytest.approx(maps("a", seed=1)["a"])


def test_batch_mates_do_not_change_it() -> None:
    assert (maps("b", "a")["a"] == maps("a")["a"]).all()
