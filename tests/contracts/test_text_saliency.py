"""Every choice of conf/text_saliency on the embedded CLIP: any text and image, the same each time."""

import pytest
import torch

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.word_tokens import tokenize_words
from medsam_exp.config.build import build
from medsam_exp.runtime.seeding import torch_generator
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "text_saliency").glob("*.yaml"))
TEXTS = ["a large dark round mass in the upper left", "mass", "", "word " * 100, "naïve ☃ (3 mm), 5 %"]


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip("tiny")


@pytest.mark.parametrize("choice", CHOICES)
def test_any_text_and_image(clip: ClipModel, choice: str) -> None:
    method = build(composed(f"text_saliency={choice}").text_saliency)
    tokenized = [tokenize_words(clip.tokenizer, text) for text in TEXTS]
    ids, real = torch.stack([t.ids for t in tokenized]), torch.stack([t.real for t in tokenized])
    size = clip.image_size
    images = torch.stack(
        [torch.zeros(3, size, size), torch.ones(3, size, size), *torch.randn(3, 3, size, size)]
    )
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    with torch.no_grad():
        embedding = clip.encode_image(images)

    def once() -> torch.Tensor:
        return method(
            clip, ids, real, embedding, [torch_generator(0, number) for number in range(len(TEXTS))]
        )

    found = once()
    assert found.shape == ids.shape
    assert found.dtype == torch.float32
    assert bool(found.isfinite().all())
    assert bool((found >= 0).all())
    assert not found[~real].any()
    assert not found.requires_grad
    assert torch.equal(once(), found)
    assert all(torch.equal(value, before[name]) for name, value in clip.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in clip.parameters())
