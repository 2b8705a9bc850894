"""Layouts of CLIP weights on disk, under open_clip's names: transformers' `CLIPModel`, and BiomedCLIP's port.

transformers' `CLIPModel`, as OpenAI's CLIPs and PubMedCLIP are published, computes what open_clip does; it keeps
queries, keys and values apart, and projections as linear layers.

The Hugging Face port of BiomedCLIP (`BiomedCLIPModel`: a timm-free ViT, a BERT under CLIP's names) is what the paper's
authors publish as `pytorch_model.bin`. It computes what open_clip does, but for the epsilon of its vision layer norms:
1e-12, where open_clip trained with 1e-6, which moves embeddings in their fourth or fifth digit.
"""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

_CLIP_TOWERS = {"vision_model.": "visual.", "text_model.": ""}
_CLIP_NAMES = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
}
_CLIP_NORMS = {
    "vision_model.pre_layrnorm": "visual.ln_pre",  # transformers' spelling
    "vision_model.post_layernorm": "visual.ln_post",
    "text_model.final_layer_norm": "ln_final",
}
_CLIP_PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
"""Linear layers there, matrices that are multiplied from the right in open_clip."""
_CLIP_IN_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_CLIP_BLOCK = re.compile(r"(vision_model\.|text_model\.)encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_CLIP_PART = re.compile(
    r"(vision_model\.|text_model\.)encoder\.layers\.(\d+)\.self_attn\.(?P<letter>[qkv])_proj\.(weight|bias)"
)
_PORT_STEMS = {
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
_PORT_BACK = {port: own for own, port in _PORT_STEMS.items()}
_PORT_FLAT = {
    "visual.trunk.cls_token": ("vision_model.embeddings.class_embedding", 2),
    "visual.trunk.pos_embed": ("vision_model.embeddings.position_embedding.weight", 1),
}
"""open_clip's whole name to the port's, and the leading axes of length 1 that the port leaves out."""
_SHARED = ("logit_scale", "logit_bias")
_QKV = re.compile(r"visual\.trunk\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)")
_PORT_PART = re.compile(
    r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.(?P<letter>[qkv])_proj\.(weight|bias)"
)


def is_clip_model(names: Iterable[str]) -> bool:
    """Whether these are names of transformers' CLIP, and not of BiomedCLIP's port, whose text tower is a BERT."""
    listed = list(names)
    bert = any(name.startswith("text_model.embeddings.token_type_embedding") for name in listed)
    return not bert and any(name.startswith("text_model.final_layer_norm.") for name in listed)


def from_clip_model(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to open_clip's names; unknown names, and incomplete triples of query, key and value, stay."""
    fused = _fuse_qkv(weights, _CLIP_PART, _in_proj)
    result = dict(fused)
    for name, value in weights.items():
        if name in _CLIP_PROJECTIONS and value.ndim == 2:
            result[_CLIP_PROJECTIONS[name]] = value.T.contiguous()
        elif not ((match := _CLIP_PART.fullmatch(name)) and _in_proj(match) in fused):
            result[_clip_name(name)] = value
    return result


def _in_proj(match: re.Match[str]) -> str:
    tower, block, _, leaf = match.groups()
    return f"{_CLIP_TOWERS[tower]}transformer.resblocks.{block}.attn.in_proj_{leaf}"


def _clip_name(name: str) -> str:
    stem, _, leaf = name.rpartition(".")
    if stem in _CLIP_NORMS:
        return f"{_CLIP_NORMS[stem]}.{leaf}"
    match = _CLIP_BLOCK.fullmatch(name)
    if match and match[3] in _CLIP_IN_BLOCK:
        tower, block, part, leaf = match.groups()
        return f"{_CLIP_TOWERS[tower]}transformer.resblocks.{block}.{_CLIP_IN_BLOCK[part]}.{leaf}"
    return _CLIP_NAMES.get(name, name)


def is_huggingface(names: Iterable[str]) -> bool:
    """Whether these are names of the port, at least in part."""
    return any(name.startswith(("vision_model.", "text_model.", "visual_projection.")) for name in names)


def from_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to open_clip's names and fuse queries, keys and values; unknown names stay."""
    flat = {port: (own, axes) for own, (port, axes) in _PORT_FLAT.items()}
    result = _fuse_qkv(weights, _PORT_PART, _qkv_name)
    for name, value in weights.items():
        if name in flat:
            own, axes = flat[name]
            result[own] = value.reshape((1,) * axes + value.shape)
        elif not ((match := _PORT_PART.fullmatch(name)) and _qkv_name(match) in result):
            result[_port_name(name, _PORT_BACK) or name] = value
    return result


def to_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to the port's names; every tensor is a copy.

    Raises:
        UserError: the port has no place for one, because the network is not built like BiomedCLIP.
    """
    result: dict[str, Tensor] = {}
    for name, value in weights.items():
        if match := _QKV.fullmatch(name):
            block, leaf = match.groups()
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                result[f"vision_model.encoder.layers.{block}.self_attn.{letter}_proj.{leaf}"] = part
        elif name in _PORT_FLAT:
            port, axes = _PORT_FLAT[name]
            result[port] = value.reshape(value.shape[axes:])
        elif name in _SHARED or (renamed := _port_name(name, _PORT_STEMS)) is None:
            result[name] = value
        else:
            result[renamed] = value
    if strange := sorted(result.keys() & weights.keys() - set(_SHARED)):
        shown = first_few(strange, 3)
        raise UserError(
            "the Hugging Face layout is for networks built like BiomedCLIP (timm ViT, BERT, projections of one "
            f"and two layers) and has no place for {shown}; export to the layout open_clip."
        )
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in result.items()}


def _qkv_name(match: re.Match[str]) -> str:
    return match.expand(r"visual.trunk.blocks.\1.attn.qkv.\3")


def _port_name(name: str, stems: Mapping[str, str]) -> str | None:
    """Look a name up in a table of stems; None when it is not there."""
    stem, _, leaf = name.rpartition(".")
    number = re.search(r"\.(\d+)\.", stem)
    found = stems.get(re.sub(r"\.\d+\.", ".#.", stem, count=1))
    if found is None or leaf not in ("weight", "bias"):
        return None
    return f"{found.replace('#', number[1] if number else '')}.{leaf}"


def _fuse_qkv(
    weights: Mapping[str, Tensor], part: re.Pattern[str], fused_name: Callable[[re.Match[str]], str]
) -> dict[str, Tensor]:
    """Queries, keys and values of each block in one piece, where all three are there and alike.

    Args:
        weights: by name.
        part: matches the name of one of the three; its group `letter` is q, k or v.
        fused_name: open_clip's name of the piece, of a match.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        if match := part.fullmatch(name):
            parts.setdefault(fused_name(match), {})[match["letter"]] = value
    return {
        name: torch.cat([by_letter[letter] for letter in "qkv"])
        for name, by_letter in parts.items()
        if len(by_letter) == 3 and len({one.shape for one in by_letter.values()}) == 1
    }
