"""Folders of networks: CLIPs in open_clip's and in transformers' layout, a DINO, a SAM 2."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipModel,
)

from medsam_exp.clip.load import load_clip, patch_grid, vision_layout
from medsam_exp.clip.text_tower import text_tower
from medsam_exp.saliency.dino import Dino
from tests.clip.conftest import (
    BERT_CFG,
    SMALL_BERT,
    TINY_CFG,
    byte_level_tokenizer,
    random_weights,
    word_piece_tokenizer,
)
from tests.fuzz.reader import Files, Reader, files_below

_CLIP_TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
_CLIP_VISION = _CLIP_TEXT | {"image_size": 32, "patch_size": 16}


def _written(write: Callable[[Path], object]) -> Callable[[], Files]:
    def make() -> Files:
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
            write(Path(folder) / "clip")
            return files_below(Path(folder))

    return make


def _open_clip(folder: Path) -> None:
    folder.mkdir()
    byte_level_tokenizer(folder)
    random_weights(folder, TINY_CFG)


def _bert(folder: Path) -> None:
    folder.mkdir()
    word_piece_tokenizer(folder)
    BertConfig(vocab_size=40, **SMALL_BERT).save_pretrained(folder)
    random_weights(folder, BERT_CFG)


def _clip_model(folder: Path) -> None:
    config = CLIPConfig(
        text_config=_CLIP_TEXT | {"max_position_embeddings": 12}, vision_config=_CLIP_VISION, projection_dim=8
    )
    CLIPModel(config).save_pretrained(folder)


def _siglip(folder: Path) -> None:
    text = _CLIP_TEXT | {"vocab_size": 300, "max_position_embeddings": 12, "projection_size": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config=_CLIP_VISION)).save_pretrained(folder)
    byte_level_tokenizer(folder)


def _dino(folder: Path) -> None:
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)


def _clip(folder: Path) -> None:
    model = str(folder / "clip")
    vision_layout(model)
    patch_grid(model)
    clip = load_clip(model)
    side = clip.image_size
    with torch.no_grad():
        ids = clip.tokenize(["a lesion"])
        clip.encode_text(ids)
        if side <= 256:
            clip.encode_image(torch.zeros(1, 3, side, side))
    text_tower(clip.network)


def _features(folder: Path) -> None:
    Dino(str(folder / "clip"))(torch.zeros(1, 3, 28, 28), (2, 2))


READERS = (
    Reader(
        "clip folder",
        _written(_open_clip),
        _clip,
        ("*config.json", "*config.json", "*tokenizer.json", "*.safetensors"),
    ),
    Reader(
        "clip folder bert",
        _written(_bert),
        _clip,
        ("*config.json", "*config.json", "*tokenizer.json", "*vocab.txt"),
    ),
    Reader(
        "clip folder transformers", _written(_clip_model), _clip, ("*config.json", "*.safetensors"), cost=40
    ),
    Reader("clip folder siglip", _written(_siglip), _clip, cost=10),
    Reader("dino folder", _written(_dino), _features),
)
