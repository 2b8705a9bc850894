"""UniMed-CLIP's checkpoints, as its branch of open_clip writes them, compute what open_clip does with such weights."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.tokenizer import HFTokenizer

from medsam_exp.clip.load import load_clip, vision_layout
from medsam_exp.clip.network import build_network
from medsam_exp.clip.source import find_source
from medsam_exp.clip.weight_files import weight_files
from medsam_exp.clip.weights import looks_like

VISION = {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 32, "layers": 3}


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_a_checkpoint_beside_its_tokenizer(
    wrapper: str, bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bert_folder` makes BERT-base small."""
    cfg: dict[str, Any] = open_clip.get_model_config("unimed_clip_b16")
    cfg |= {"embed_dim": 24, "vision_cfg": VISION}
    cfg["text_cfg"] |= {"context_length": 16}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "unimed_clip_b16", cfg)
    torch.manual_seed(3)
    reference = build_network(find_source("unimed_clip_b16")).eval()
    for parameter in reference.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    state = {
        f"{wrapper}text_encoder{name.removeprefix('text')}"
        if name.startswith("text.")
        else wrapper + name: value
        for name, value in reference.state_dict().items()
    }
    state[f"{wrapper}text_encoder.transformer.embeddings.position_ids"] = torch.arange(512)[None]
    path = bert_folder / "unimed.pt"
    torch.save({"epoch": 9, "best": np.float64(0.5), "step": np.int64(7), "state_dict": state}, path)

    clip = load_clip("unimed_clip_b16", str(path))
    images = torch.randn(2, 3, 32, 32)
    tokens = HFTokenizer(str(bert_folder), context_length=16)(["a benign tumor", "lesions"])
    assert torch.equal(clip.tokenize(["a benign tumor", "lesions"]), tokens)
    with torch.no_grad():
        torch.testing.assert_close(
            clip.encode_image(images), reference.encode_image(images), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(clip.encode_text(tokens), reference.encode_text(tokens), rtol=0, atol=1e-5)
    assert bert_folder / "tokenizer.json" in weight_files("unimed_clip_b16", str(path))


@pytest.mark.parametrize("name", ["unimed_clip_b16", "unimed_clip_l14", "unimed_clip_l14_large"])
def test_its_weights_are_recognised(name: str) -> None:
    with torch.device("meta"):
        state = build_network(find_source(name)).state_dict()
    theirs = {one.replace("text.", "text_encoder.", 1): value for one, value in state.items()}
    assert looks_like(theirs) == f"they look like UniMed-CLIP's, so choose clip={name}"


@pytest.mark.parametrize(
    ("name", "vision"),
    [
        ("unimed_clip_b16", "ViT-B-16-quickgelu"),
        ("unimed_clip_l14", "ViT-L-14-336-quickgelu"),
        ("unimed_clip_l14_large", "ViT-L-14-336-quickgelu"),
    ],
)
def test_the_vision_tower_is_openais(name: str, vision: str) -> None:
    own, openais = open_clip.get_model_config(name), open_clip.get_model_config(vision)
    assert {key: own[key] for key in ("embed_dim", "quick_gelu", "vision_cfg")} == {
        key: openais[key] for key in ("embed_dim", "quick_gelu", "vision_cfg")
    }
    assert vision_layout(name).three_quarters in (9, 18)


def test_the_large_text_tower_is_berts() -> None:
    """By the table of BERT-large's sizes, and the perceptron between its width and the embedding's."""
    with torch.device("meta"):
        shapes = {
            name: tuple(value.shape)
            for name, value in build_network(find_source("unimed_clip_l14_large")).state_dict().items()
            if name.startswith("text.")
        }
    block = "text.transformer.encoder.layer.23."
    expected = {
        "text.transformer.embeddings.word_embeddings.weight": (30522, 1024),
        "text.transformer.embeddings.position_embeddings.weight": (512, 1024),
        f"{block}attention.self.query.weight": (1024, 1024),
        f"{block}intermediate.dense.weight": (4096, 1024),
        f"{block}output.dense.weight": (1024, 4096),
        "text.proj.0.weight": (896, 1024),
        "text.proj.2.weight": (768, 896),
    }
    assert {name: shapes[name] for name in expected} == expected
    assert not any("layer.24." in name for name in shapes)
