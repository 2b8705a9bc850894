"""BiomedCLIP's weights under the names of its Hugging Face port, to and from open_clip's names.

The port (`BiomedCLIPModel`: a timm-free ViT, a BERT under CLIP's names) is what the paper's authors publish as
`pytorch_model.bin`. It computes what open_clip does, but for the epsilon of its vision layer norms: 1e-12, where
open_clip trained with 1e-6, which moves embeddings in their fourth or fifth digit.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from medsam_exp.types import UserError

_STEMS = {
    "visual.trunk.patch_embed.proj": "vision_model.embeddings.patch_embedding",
    "visual.trunk.blocks.#.norm1": "vision_model.encoder.layers.#.layer_norm1",
    "visual.trunk.blocks.#.attn.proj": "vision_model.encoder.layers.#.self_attn.out_proj",
    "visual.trunk.blocks.#.norm2": "vision_model.encoder.layers.#.layer_norm2",
    "visual.trunk.blocks.#.mlp.fc1": "vision_model.encoder.layers.#.mlp.fc1",
    "visual.trunk.blocks.#.mlp.fc2": "vision_model.encoder.layers.#.mlp.fc2",
    "visual.trunk.norm": "vision_model.post_layernorm",
    "visual.head.proj": "visual_projection",
    "text.transformer.embeddings.word_embeddings": "text_model.embeddings.token_embedding",
    "text.transformer.embeddings.position_embeddings": "text_model.embeddings.position_embedding",
    "text.transformer.embeddings.token_type_embeddings": "text_model.embeddings.token_type_embedding",
    "text.transformer.embeddings.LayerNorm": "text_model.embeddings.layer_norm",
    "text.transformer.encoder.layer.#.attention.self.query": "text_model.encoder.layers.#.self_attn.q_proj",
    "text.transformer.encoder.layer.#.attention.self.key": "text_model.encoder.layers.#.self_attn.k_proj",
    "text.transformer.encoder.layer.#.attention.self.value": "text_model.encoder.layers.#.self_attn.v_proj",
    "text.transformer.encoder.layer.#.attention.output.dense": "text_model.encoder.layers.#.self_attn.out_proj",
    "text.transformer.encoder.layer.#.attention.output.LayerNorm": "text_model.encoder.layers.#.layer_norm1",
    "text.transformer.encoder.layer.#.intermediate.dense": "text_model.encoder.layers.#.mlp.fc1",
    "text.transformer.encoder.layer.#.output.dense": "text_model.encoder.layers.#.mlp.fc2",
    "text.transformer.encoder.layer.#.output.LayerNorm": "text_model.encoder.layers.#.layer_norm2",
    "text.proj.0": "text_projection.fc1",
    "text.proj.2": "text_projection.fc2",
}
"""open_clip's name to the port's, without `.weight` and `.bias`; # is the number of a block."""
_BACK = {port: own for own, port in _STEMS.items()}
_FLAT = {
    "visual.trunk.cls_token": ("vision_model.embeddings.class_embedding", 2),
    "visual.trunk.pos_embed": ("vision_model.embeddings.position_embedding.weight", 1),
}
"""open_clip's whole name to the port's, and the leading axes of length 1 that the port leaves out."""
_SHARED = ("logit_scale", "logit_bias")
_QKV = re.compile(r"visual\.trunk\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)")
_PART = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)")
_SHOWN = 3


def is_huggingface(names: Iterable[str]) -> bool:
    """Whether these are names of the port, at least in part."""
    return any(name.startswith(("vision_model.", "text_model.", "visual_projection.")) for name in names)


def from_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under open_clip's names, queries, keys and values fused; names that no rule knows stay."""
    flat = {port: (own, axes) for own, (port, axes) in _FLAT.items()}
    result = _fused(weights)
    for name, value in weights.items():
        if name in flat:
            own, axes = flat[name]
            result[own] = value.reshape((1,) * axes + value.shape)
        elif not _PART.fullmatch(name) or _qkv_name(name) not in result:
            result[_renamed(name, _BACK) or name] = value
    return result


def to_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the port's names, each with memory of its own.

    Raises:
        UserError: the port has no place for one, because the network is not built like BiomedCLIP.
    """
    result: dict[str, Tensor] = {}
    for name, value in weights.items():
        if match := _QKV.fullmatch(name):
            block, leaf = match.groups()
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                result[f"vision_model.encoder.layers.{block}.self_attn.{letter}_proj.{leaf}"] = part
        elif name in _FLAT:
            port, axes = _FLAT[name]
            result[port] = value.reshape(value.shape[axes:])
        elif name in _SHARED or (renamed := _renamed(name, _STEMS)) is None:
            result[name] = value
        else:
            result[renamed] = value
    if strange := sorted(result.keys() & weights.keys() - set(_SHARED)):
        shown = ", ".join(strange[:_SHOWN]) + (", ..." if strange[_SHOWN:] else "")
        raise UserError(
            "the Hugging Face layout is for networks built like BiomedCLIP (timm ViT, BERT, projections of one "
            f"and two layers) and has no place for {shown}; export to the layout open_clip."
        )
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in result.items()}


def _fused(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values of each vision block in one piece, where all three are there and alike."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        if match := _PART.fullmatch(name):
            parts.setdefault(_qkv_name(name), {})[match[2]] = value
    return {
        name: torch.cat([by_letter[letter] for letter in "qkv"])
        for name, by_letter in parts.items()
        if len(by_letter) == 3 and len({part.shape for part in by_letter.values()}) == 1
    }


def _qkv_name(part: str) -> str:
    return _PART.sub(r"visual.trunk.blocks.\1.attn.qkv.\3", part)


def _renamed(name: str, stems: Mapping[str, str]) -> str | None:
    """The name's other side in a table of stems; None when it has none."""
    stem, _, leaf = name.rpartition(".")
    number = re.search(r"\.(\d+)\.", stem)
    found = stems.get(re.sub(r"\.\d+\.", ".#.", stem, count=1))
    if found is None or leaf not in ("weight", "bias"):
        return None
    return f"{found.replace('#', number[1] if number else '')}.{leaf}"
