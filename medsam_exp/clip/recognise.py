"""What weights that do not fit a network were probably trained as, told by their names and shapes."""

from collections.abc import Mapping
from typing import Any

import open_clip
from torch import Tensor

_SHOWN = 3
_BLOCKS = "visual.transformer.resblocks."
_BERT = ("text.transformer.embeddings.", "text_model.embeddings.token_type_embedding")


def looks_like(weights: Mapping[str, Tensor]) -> str:
    """Half a sentence on what these weights, in open_clip's names, look like and what to choose; may be empty.

    Args:
        weights: by name; only names and shapes are looked at.
    """
    if any(name.startswith("image_encoder.") for name in weights):
        return "they look like a SAM's, so give them as sam.checkpoint"
    if any(name.startswith(_BERT) for name in weights) and _depth(weights, "visual.trunk.blocks.") == 12:
        return "they look like BiomedCLIP's, so choose clip=biomedclip_finetuned"
    names = _same_shapes(_shape(weights))
    if not names:
        return ""
    shown = " or ".join(names[:_SHOWN])
    return f"they look like open_clip's {shown}, so set clip.model={names[0]}"


def _shape(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of a plain CLIP with a vision transformer; empty for networks of other kinds."""
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    patches, words = weights.get("visual.conv1.weight"), weights.get("token_embedding.weight")
    projection, places = weights.get("visual.proj"), weights.get("positional_embedding")
    if patches is None or patches.ndim != 4 or words is None or projection is None or places is None:
        return {}
    if _depth(weights, _BLOCKS) == 0:
        return {}
    return {
        "width": patches.shape[0],
        "patch_size": patches.shape[-1],
        "layers": _depth(weights, _BLOCKS),
        "embed_dim": projection.shape[-1],
        "vocab_size": words.shape[0],
        "text_width": words.shape[1],
        "context_length": places.shape[0],
        "places": weights["visual.positional_embedding"].shape[0],
    }


def _same_shapes(shape: Mapping[str, Any]) -> list[str]:
    """open_clip's networks of these sizes; those with OpenAI's activation first, as their weights are commonest."""
    if not shape:
        return []
    found = [name for name in open_clip.list_models() if _sizes(open_clip.get_model_config(name)) == shape]
    return sorted(found, key=lambda name: ("quickgelu" not in name, len(name), name))


def _sizes(cfg: Mapping[str, Any]) -> dict[str, Any]:
    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    patch, size = vision.get("patch_size"), vision.get("image_size")
    if not isinstance(patch, int) or not isinstance(size, int) or cfg.get("custom_text"):
        return {}
    return {
        "width": vision.get("width"),
        "patch_size": patch,
        "layers": vision.get("layers"),
        "embed_dim": cfg["embed_dim"],
        "vocab_size": text.get("vocab_size"),
        "text_width": text.get("width"),
        "context_length": text.get("context_length"),
        "places": (size // patch) ** 2 + 1,
    }


def _depth(weights: Mapping[str, Tensor], start: str) -> int:
    numbers = {name.removeprefix(start).partition(".")[0] for name in weights if name.startswith(start)}
    return len(numbers)
