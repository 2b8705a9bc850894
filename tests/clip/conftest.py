"""Small CLIP models of each kind of tower with random weights, as objects and as folders; and no network."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig

from medsam_exp.clip import network as network_module
from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from tests.sockets import refuse_sockets

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
OWN = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 4}
TOWERS: dict[str, dict[str, Any]] = {
    "open_clip": OWN,
    "open_clip_average": OWN | {"pool_type": "avg", "no_ln_pre": True, "final_ln_after_pool": True},
    "open_clip_custom_blocks": OWN | {"qk_norm": True, "scale_attn": True},
    "open_clip_layer_scale": OWN | {"ls_init_value": 0.5, "patch_dropout": 0.5},
    "timm_cls": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
    "timm_average_registers": {"timm_model_name": "test_vit2", "timm_pool": "", "image_size": 96},
    "timm_attention_pool": {"timm_model_name": "test_vit3", "timm_pool": "", "image_size": 160},
}


def make_network(
    vision: dict[str, Any], *, quick_gelu: bool = False
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """open_clip's network with random weights, and its description."""
    model_cfg = {"embed_dim": 24, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": TEXT}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = open_clip.CLIP(**model_cfg).eval()
        for parameter in network.parameters():  # zero biases would hide a forgotten bias
            if parameter.ndim == 1:
                parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    return network, model_cfg


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., ClipModel]:
    """`(tower name) -> ClipModel`."""

    def make(tower: str | dict[str, Any], **options: Any) -> ClipModel:
        vision = TOWERS[tower] if isinstance(tower, str) else tower
        network, model_cfg = make_network(vision, **options)
        tokenizer = open_clip.SimpleTokenizer(context_length=16)
        return ClipModel(
            network, tokenizer, model_cfg, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4], saliency_layer=2
        ).eval()

    return make


TINY_CFG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 3},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 300,
        "width": 32,
        "heads": 2,
        "layers": 1,
        "hf_tokenizer_name": "this folder",
        "pool_type": "eos",
        "eos_id": 1,
        "no_causal_mask": True,
    },
}
SMALL_BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
BIOMED_NAME = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
BERT_CFG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 64},
    "text_cfg": {
        "hf_model_name": BIOMED_NAME,
        "hf_tokenizer_name": BIOMED_NAME,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 16,
    },
}


def byte_level_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a scan of a lesion in the upper left"] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def word_piece_tokenizer(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "benign", "breast", "tumor", "lesion", "##s"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def random_weights(folder: Path, model_cfg: dict[str, Any]) -> None:
    (folder / "open_clip_config.json").write_text(
        json.dumps(
            {"model_cfg": model_cfg, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}}
        )
    )
    clip = load_clip(str(folder), weights="random", seed=5)
    state = {name: value.contiguous() for name, value in clip.network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """open_clip's own towers and a byte-level tokenizer."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    byte_level_tokenizer(folder)
    random_weights(folder, TINY_CFG)
    return folder


@pytest.fixture
def bert_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A timm trunk and a BERT without its config.json, as BiomedCLIP is published; BERT-base made small."""
    monkeypatch.setattr(network_module, "BertConfig", partial(BertConfig, **SMALL_BERT))
    folder = tmp_path / "biomed"
    folder.mkdir()
    word_piece_tokenizer(folder)
    random_weights(folder, BERT_CFG)
    return folder


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this folder may reach for the network, and no offline switch helps it."""

    refuse_sockets(monkeypatch)


def embeddings_of(clip: ClipModel, text: str = "a lesion") -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of two fixed images and of a text."""
    images = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    size = clip.image_size
    with torch.no_grad():
        resized = torch.nn.functional.interpolate(images, (size, size))
        return clip.encode_image(resized), clip.encode_text(clip.tokenize([text]))


@pytest.fixture
def embeddings() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """`(clip, text) -> embeddings of two fixed images, embedding of the text`."""
    return embeddings_of


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """`(clip, clip, atol=0)`: both give the same embeddings."""

    def check(one: ClipModel, other: ClipModel, atol: float = 0) -> None:
        for left, right in zip(embeddings_of(one), embeddings_of(other), strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=atol)

    return check
