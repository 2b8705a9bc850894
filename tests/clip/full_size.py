"""One full-size CLIP in a process of its own: `python -m tests.clip.full_size STEP CHOICE FOLDER`.

write: random weights in the layout of the published files, and what the library's own network makes of numbers in
place of an image and a text. ours: load them as `clip=CHOICE`, embed an image and a text; prints what that took, and
the largest difference from the library's embeddings, in their standard deviations.
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
ANSWER = "library.pt"
"""Numbers in place of an image and a text, and the library's embeddings of them."""
CONTEXT = 256
"""Of BiomedCLIP's text tower in tokens, less than its BERT could read."""
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    given = torch.load(folder / ANSWER)
    with torch.no_grad():
        found = (clip.encode_image(given["pixels"]), clip.encode_text(given["tokens"]))
    pairs = list(zip(found, (given["image"], given["text"]), strict=True))
    return {
        "parameters": sum(parameter.numel() for parameter in clip.parameters()) / 1e6,
        "image": seen - start,
        "text": read - seen,
        "peak_gb": peak,
        "patches": tokens,
        "spread": float(min(image.std(), text.std())),
        "difference": max(float((one - other).abs().max() / other.std()) for one, other in pairs),
    }


@torch.no_grad()
def _asked(network: Any, folder: Path) -> dict[str, Tensor]:
    """The network's weights, after its answer to random numbers is kept beside them."""
    network = network.eval()
    theirs = isinstance(network, CLIPModel | SiglipModel)
    if theirs:
        side, text = network.config.vision_config.image_size, network.config.text_config
        words, length = text.vocab_size, text.max_position_embeddings
    else:
        side, words, length = network.visual.image_size, network.vocab_size, network.context_length
    pixels = torch.randn(1, 3, *(side if isinstance(side, tuple) else (side, side)))
    tokens = torch.randint(2, words - 1, (1, min(length, CONTEXT)))
    tokens[0, tokens.shape[1] // 2] = words - 1  # OpenAI's end of a text
    tokens[0, tokens.shape[1] // 2 + 1 :] = 0  # padding
    if theirs:
        image, text = network.get_image_features(pixels), network.get_text_features(tokens)
        image, text = image.pooler_output, text.pooler_output
    else:
        image, text = network.encode_image(pixels), network.encode_text(tokens)
    torch.save({"pixels": pixels, "tokens": tokens, "image": image, "text": text}, folder / ANSWER)
    state: dict[str, Tensor] = network.state_dict()
    return state


def _open_clips(name: str) -> Callable[[Path], None]:
    """A folder as open_clip publishes one."""

    def write(folder: Path) -> None:
        source = find_source(name)
        torch.save(_asked(build_network(source), folder), folder / "open_clip_pytorch_model.bin")
        content = {"model_cfg": source.model_cfg, "preprocess_cfg": source.preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(content))

    return write


def _openais(name: str) -> Callable[[Path], None]:
    """A file of weights in half precision under OpenAI's names."""

    def write(folder: Path) -> None:
        network = build_network(find_source(name)).half().float()
        torch.save(
            {key: value.half() for key, value in _asked(network, folder).items()}, folder / "weights.pt"
        )

    return write


def _pubmeds_checkpoint(folder: Path) -> None:
    """A training checkpoint."""
    network = build_network(find_source("ViT-B-32-quickgelu"))
    torch.save({"state_dict": _asked(network, folder)}, folder / "weights.pt")


def _unimeds(name: str) -> Callable[[Path], None]:
    """A training checkpoint of its branch of open_clip, beside a tokenizer."""

    def write(folder: Path) -> None:
        state = _asked(build_network(find_source(name)), folder)
        theirs = {key.replace("text.", "text_encoder.", 1): value for key, value in state.items()}
        torch.save({"epoch": 1, "state_dict": theirs}, folder / "weights.pt")
        _copy_tokenizer(folder)

    return write


def _biomedclip(folder: Path, renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict) -> None:
    state = _asked(build_network(ClipSource("biomedclip", BIOMEDCLIP, {})), folder)
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
    network = CLIPModel(CLIPConfig(vision_config=vision, text_config={"eos_token_id": 49407}))
    _asked(network, folder)
    network.save_pretrained(folder)


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
    network = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    _asked(network, folder)
    network.save_pretrained(folder)
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
    "unimed_clip_l14_large": _unimeds("unimed_clip_l14_large"),
}
"""What writes each choice's files."""


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
