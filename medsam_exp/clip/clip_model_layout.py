"""Weights of transformers' `CLIPModel`, as OpenAI's CLIPs and PubMedCLIP lie on the hub, under open_clip's names.

Both compute the same; transformers keeps queries, keys and values apart, and projections as linear layers.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_TOWERS = {"vision_model.": "visual.", "text_model.": ""}
_WHOLE = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
}
_NORMS = {
    "vision_model.pre_layrnorm": "visual.ln_pre",  # transformers' spelling
    "vision_model.post_layernorm": "visual.ln_post",
    "text_model.final_layer_norm": "ln_final",
}
_PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
"""Linear layers there, matrices that are multiplied from the right in open_clip."""
_IN_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_BLOCK = re.compile(r"(vision_model\.|text_model\.)encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_PART = re.compile(
    r"(vision_model\.|text_model\.)encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)"
)


def is_clip_model(names: Iterable[str]) -> bool:
    """Whether these are names of transformers' CLIP, and not of BiomedCLIP's port, whose text tower is a BERT."""
    listed = list(names)
    bert = any(name.startswith("text_model.embeddings.token_type_embedding") for name in listed)
    return not bert and any(name.startswith("text_model.final_layer_norm.") for name in listed)


def from_clip_model(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under open_clip's names; names that no rule knows, and thirds without the others, stay."""
    fused = _fused(weights)
    result = dict(fused)
    for name, value in weights.items():
        if name in _PROJECTIONS and value.ndim == 2:
            result[_PROJECTIONS[name]] = value.T.contiguous()
        elif not ((match := _PART.fullmatch(name)) and _in_proj(match) in fused):
            result[_renamed(name)] = value
    return result


def _fused(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values of each block in one piece, where all three are there and alike."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        if match := _PART.fullmatch(name):
            parts.setdefault(_in_proj(match), {})[match[3]] = value
    return {
        name: torch.cat([by_letter[letter] for letter in "qkv"])
        for name, by_letter in parts.items()
        if len(by_letter) == 3 and len({part.shape for part in by_letter.values()}) == 1
    }


def _in_proj(match: re.Match[str]) -> str:
    tower, block, _, leaf = match.groups()
    return f"{_TOWERS[tower]}transformer.resblocks.{block}.attn.in_proj_{leaf}"


def _renamed(name: str) -> str:
    stem, _, leaf = name.rpartition(".")
    if stem in _NORMS:
        return f"{_NORMS[stem]}.{leaf}"
    match = _BLOCK.fullmatch(name)
    if match and match[3] in _IN_BLOCK:
        tower, block, part, leaf = match.groups()
        return f"{_TOWERS[tower]}transformer.resblocks.{block}.{_IN_BLOCK[part]}.{leaf}"
    return _WHOLE.get(name, name)
