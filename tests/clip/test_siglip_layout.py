"""transformers' SiglipModel, as MedSigLIP is published, computes what transformers itself does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import SiglipConfig, SiglipModel

from medsam_exp.clip import tokenizer
from medsam_exp.clip.description import _siglip_description
from medsam_exp.clip.layouts import from_siglip
from medsam_exp.clip.load import load_clip, save_clip, vision_layout
from medsam_exp.clip.network import build_network
from medsam_exp.clip.source import ClipSource
from medsam_exp.clip.tokenizer import load_tokenizer
from medsam_exp.clip.weight_files import weight_files
from medsam_exp.types import UserError

VISION = {
    "hidden_size": 64, "intermediate_size": 91, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 50,
    "patch_size": 12,
}  # fmt: skip
TEXT = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 3,
    "max_position_embeddings": 10, "projection_size": 64, "vocab_size": 40,
}  # fmt: skip
WORDS = ["<unk>", "</s>", "▁a", "▁benign", "▁breast", "▁tumor", "▁lesion", "s", "▁"]


def sentence_pieces(folder: Path, kind: str) -> None:
    """A vocabulary of unigrams as SentencePiece's are converted, `</s>` at the end and as padding."""
    tokenizer = Tokenizer(models.Unigram([(word, -float(n)) for n, word in enumerate(WORDS)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": kind, "pad_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def small() -> SiglipModel:
    """Random weights, each of its own; layer norms and biases, which start alike, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = SiglipModel(SiglipConfig(vision_config=VISION, text_config=TEXT)).eval()
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    return model


@pytest.fixture
def folder(small: SiglipModel, tmp_path: Path) -> Path:
    small.save_pretrained(tmp_path / "siglip")
    sentence_pieces(tmp_path / "siglip", "SiglipTokenizer")
    return tmp_path / "siglip"


def test_a_whole_folder(small: SiglipModel, folder: Path, tmp_path: Path) -> None:
    clip = load_clip(str(folder))
    images = torch.randn(2, 3, 50, 50, generator=torch.Generator().manual_seed(5))
    tokens = clip.tokenize(["A benign breast tumor.", "lesions"])
    assert tokens.tolist() == [[2, 3, 4, 5, 1, 1, 1, 1, 1, 1], [6, 7, 1, 1, 1, 1, 1, 1, 1, 1]]
    with torch.no_grad():
        image, text = (
            torch.nn.functional.normalize(one, dim=-1)
            for one in (clip.encode_image(images), clip.encode_text(tokens))
        )
        said = small(input_ids=tokens, pixel_values=images)
        for layer in range(4):
            whole = clip.vision_suffix(clip.vision_prefix(images, layer), layer)
            torch.testing.assert_close(whole, clip.encode_image(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(image, said.image_embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(text, said.text_embeds, rtol=0, atol=1e-5)
    assert clip.logit_scale == small.logit_scale
    assert clip.network.logit_bias == small.logit_bias
    assert (clip.depth, clip.grid, clip.prefix_tokens, clip.saliency_layer) == (4, (4, 4), 0, 3)
    assert {"features", "tokens", "blocks"} <= vision_layout(str(folder)).capabilities
    assert clip.preprocess.mean == (0.5, 0.5, 0.5)
    assert folder / "tokenizer.json" in weight_files(str(folder))
    save_clip(clip, tmp_path / "saved", torch.float32)
    again = load_clip(str(tmp_path / "saved"))
    with torch.no_grad():
        assert torch.equal(again.encode_image(images), clip.encode_image(images))
        assert torch.equal(
            again.encode_text(again.tokenize(["A benign breast tumor."])), clip.encode_text(tokens[:1])
        )


def test_a_repository_without_a_tokenizer_has_that_of_its_vocabulary(
    small: SiglipModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []

    def hub_tokenizer(name: str, **options: Any) -> None:
        names.append((name, options["context_length"], options["clean"]))

    monkeypatch.setattr(tokenizer, "HFTokenizer", hub_tokenizer)
    monkeypatch.setattr(tokenizer, "fetch_tokenizer", lambda _: False)
    cfg = small.config.to_dict()
    cfg["text_config"]["vocab_size"] = 32000
    load_tokenizer(
        ClipSource("hf-hub:a/b", _siglip_description(cfg, "here"), {}, folder=folder, repository="a/b")
    )
    assert names == [("timm/ViT-B-16-SigLIP", 10, "canonicalize")]


def test_names_and_shapes_of_the_published_size() -> None:
    """MedSigLIP's, without memory for its weights."""
    sizes = {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
    }
    config = SiglipConfig(vision_config=sizes | {"image_size": 448, "patch_size": 14}, text_config=sizes)
    with torch.device("meta"):
        theirs = SiglipModel(config).state_dict()
        network = build_network(ClipSource("here", _siglip_description(config.to_dict(), "here"), {}))
    shapes = {
        name: value.shape for name, value in from_siglip(theirs).items() if not name.startswith("logit_")
    }
    own = {name: value.shape for name, value in network.state_dict().items() if not name.startswith("logit_")}
    assert shapes == own


def test_the_folder_says_the_input(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.4] * 3, "resample": 2}))
    preprocess = load_clip(str(folder)).preprocess
    assert (preprocess.mean, preprocess.std, preprocess.interpolation) == ((0.4,) * 3, (0.5,) * 3, "bilinear")


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        ("text_config", "projection_size", 32, "texts projected to as many channels as images have"),
        ("vision_config", "hidden_act", "gelu", "a SigLIP has gelu_pytorch_tanh"),
        (
            "vision_config",
            "num_hidden_layers",
            10**9,
            r"vision_cfg\.layers is 1000000000, but it must be above 0",
        ),
        ("vision_config", "num_attention_heads", "many", "does not describe a SigLIP of transformers'"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    folder: Path, where: str, key: str, value: Any, said: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[where][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"config\.json.*{said}[^\n]*$"):
        load_clip(str(folder))
