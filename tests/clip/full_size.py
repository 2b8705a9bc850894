"""One full-size CLIP in a process of its own: `python -m tests.clip.full_size STEP CHOICE FOLDER`.

write: random weights in the layout of the published files. ours: load them as `clip=CHOICE`, embed an image and a
text, make a map by patch_text; prints what that took.
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from medsam_exp.clip.layouts import to_huggingface
from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.network import build_network
from medsam_exp.clip.source import ClipSource, find_source
from medsam_exp.clip.weights import BIOMEDCLIP
from medsam_exp.config.build import build
from tests.clip.test_siglip_layout import sentence_pieces
from tests.compose import composed
from tests.conftest import SHARED

IMAGE = np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)
TEXT = "a dark irregular mass"
TOKENIZER = SHARED / "models" / "biomedclip_config"
"""BiomedCLIP's published description and tokenizer."""


def main(step: str, choice: str, folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if step == "ours":
        return _ours(choice, folder)
    WRITE[choice](folder)
    return {}


def overrides(choice: str, folder: Path) -> list[str]:
    """What leads the choice to the files that `write` left."""
    files = [path for path in folder.iterdir() if path.name == "weights.pt"]
    own = [f"clip.weights={files[0]}"] if files else []
    described = any((folder / name).is_file() for name in ("open_clip_config.json", "config.json"))
    return [f"clip={choice}", *own, *([f"clip.model={folder}"] if described else [])]


def _ours(choice: str, folder: Path) -> dict[str, float]:
    clip: ClipModel = build(composed(*overrides(choice, folder)).clip).eval()
    start = time.process_time()
    with torch.no_grad():
        images = clip.preprocess(IMAGE)[None]
        image = clip.encode_image(images)[0]
        seen = time.process_time()
        text = clip.encode_text(clip.tokenize([TEXT]))[0]
    read = time.process_time()
    tokens = 0
    if "blocks" in clip.layout.capabilities:
        with torch.no_grad():
            entering = clip.vision_entering(images, clip.depth - 1)
            tokens = clip.patch_embeddings(entering).shape[1]
    return {
        "parameters": sum(parameter.numel() for parameter in clip.parameters()) / 1e6,
        "image": seen - start,
        "text": read - seen,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "patches": tokens,
        "spread": float(min(image.std(), text.std())),
    }


def _open_clips(name: str) -> Callable[[Path], None]:
    """A folder as open_clip publishes one."""

    def write(folder: Path) -> None:
        source = find_source(name)
        torch.save(build_network(source).state_dict(), folder / "open_clip_pytorch_model.bin")
        content = {"model_cfg": source.model_cfg, "preprocess_cfg": source.preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(content))

    return write


def _openais(name: str) -> Callable[[Path], None]:
    """A file of weights in half precision under OpenAI's names."""

    def write(folder: Path) -> None:
        state = build_network(find_source(name)).state_dict()
        torch.save({key: value.half() for key, value in state.items()}, folder / "weights.pt")

    return write


def _pubmeds_checkpoint(folder: Path) -> None:
    """A training checkpoint."""
    torch.save(
        {"state_dict": build_network(find_source("ViT-B-32-quickgelu")).state_dict()}, folder / "weights.pt"
    )


def _unimeds(name: str) -> Callable[[Path], None]:
    """A training checkpoint of its branch of open_clip, beside a tokenizer."""

    def write(folder: Path) -> None:
        state = build_network(find_source(name)).state_dict()
        theirs = {key.replace("text.", "text_encoder.", 1): value for key, value in state.items()}
        torch.save({"epoch": 1, "state_dict": theirs}, folder / "weights.pt")
        _copy_tokenizer(folder)

    return write


def _biomedclip(folder: Path, renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict) -> None:
    state = build_network(ClipSource("biomedclip", BIOMEDCLIP, {})).state_dict()
    named = "weights.pt" if renamed is to_huggingface else "open_clip_pytorch_model.bin"
    torch.save(renamed(state), folder / named)
    _copy_tokenizer(folder)
    shutil.copy(TOKENIZER / "open_clip_config.json", folder)


def _copy_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(TOKENIZER / name, folder)


def _clip_model(folder: Path) -> None:
    """transformers' CLIPModel, ViT-B/32."""
    vision = {"hidden_size": 768, "intermediate_size": 3072, "patch_size": 32, "num_attention_heads": 12}
    CLIPModel(CLIPConfig(vision_config=vision, text_config={"eos_token_id": 49407})).save_pretrained(folder)


def _so400m(folder: Path) -> None:
    """transformers' SiglipModel, so400m/14 at 448 px, with a small vocabulary in the place of SigLIP's."""
    sizes = {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
    }
    vision = {**sizes, "image_size": 448, "patch_size": 14}
    text = {**sizes, "vocab_size": 32000, "projection_size": 1152}
    SiglipModel(SiglipConfig(vision_config=vision, text_config=text)).save_pretrained(folder)
    sentence_pieces(folder, "SiglipTokenizer")


def _siglip2(folder: Path) -> None:
    """open_clip's weights, with a small vocabulary in the place of SigLIP 2's."""
    _openais("ViT-B-16-SigLIP2")(folder)
    sentence_pieces(folder, "SiglipTokenizer")


WRITE: dict[str, Callable[[Path], None]] = {
    "biomedclip": _biomedclip,
    "biomedclip_finetuned": lambda folder: _biomedclip(folder, to_huggingface),
    "bmc_clip": _open_clips("ViT-L-14"),
    "medpmc_clip_l14": _open_clips("ViT-L-14"),
    "medsiglip": _so400m,
    "openai_rn50": _openais("RN50-quickgelu"),
    "openai_vit_b16": _openais("ViT-B-16-quickgelu"),
    "openai_vit_b32": _openais("ViT-B-32-quickgelu"),
    "openai_vit_l14": _openais("ViT-L-14-quickgelu"),
    "pmc_vit_l14": _open_clips("ViT-L-14"),
    "pubmedclip": _pubmeds_checkpoint,
    "pubmedclip_hf": _clip_model,
    "quiltnet_b16": _open_clips("ViT-B-16"),
    "siglip2_b16": _siglip2,
    "unimed_clip_b16": _unimeds("unimed_clip_b16"),
    "unimed_clip_l14": _unimeds("unimed_clip_l14"),
}
"""What writes each choice's files."""


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
