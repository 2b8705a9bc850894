"""Layouts of CLIP weights on disk, under open_clip's names: those of transformers, BiomedCLIP's port, UniMed-CLIP.

transformers' `CLIPModel`, as OpenAI's CLIPs and PubMedCLIP are published, computes what open_clip does; it keeps
queries, keys and values apart, and projections as linear layers. Its `SiglipModel`, as MedSigLIP is published, computes
what open_clip's SigLIP does.

The Hugging Face port of BiomedCLIP (`BiomedCLIPModel`: a timm-free ViT, a BERT under CLIP's names) is what the paper's
authors publish as `pytorch_model.bin`. It computes what open_clip does, but for the epsilon of its vision layer norms:
1e-12, where open_clip trained with 1e-6, which moves embeddings in their fourth or fifth digit.

UniMed-CLIP (Khattak 2024, arXiv 2412.10372; https://github.com/mbzuai-oryx/UniMed-CLIP) computes what open_clip does
with a BERT as BiomedCLIP's, and names it otherwise: read in its code, not in the weights.
"""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

_CLIP_STEMS = {
    "vision_model.embeddings.patch_embedding": "visual.conv1",
    "vision_model.pre_layrnorm": "visual.ln_pre",  # transformers' spelling
    "vision_model.post_layernorm": "visual.ln_post",
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.final_layer_norm": "ln_final",
} | {
    f"{theirs}.encoder.layers.#.{their_part}": f"{own}transformer.resblocks.#.{own_part}"
    for theirs, own in {"vision_model": "visual.", "text_model": ""}.items()
    for their_part, own_part in {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "self_attn.qkv_proj": "attn.in_proj_",
        "self_attn.out_proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }.items()
}
"""transformers' name to open_clip's, without `.weight` and `.bias`; # is the number of a block."""
_CLIP_WHOLE: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "vision_model.embeddings.class_embedding": ("visual.class_embedding", Tensor.contiguous),
    "vision_model.embeddings.position_embedding.weight": ("visual.positional_embedding", Tensor.contiguous),
    "text_model.embeddings.position_embedding.weight": ("positional_embedding", Tensor.contiguous),
    # Linear layers there, matrices that are multiplied from the right in open_clip.
    "visual_projection.weight": ("visual.proj", lambda weight: weight.transpose(0, -1).contiguous()),
    "text_projection.weight": ("text_projection", lambda weight: weight.transpose(0, -1).contiguous()),
}
"""transformers' whole name to open_clip's, and what becomes of the tensor."""
_PORT_STEMS = {
    "visual.trunk.patch_embed.proj": "vision_model.embeddings.patch_embedding",
    "visual.trunk.blocks.#.norm1": "vision_model.encoder.layers.#.layer_norm1",
    "visual.trunk.blocks.#.attn.qkv": "vision_model.encoder.layers.#.self_attn.qkv_proj",
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
"""open_clip's name to the port's, as above."""
_PORT_FLAT = {
    "visual.trunk.cls_token": ("vision_model.embeddings.class_embedding", 2),
    "visual.trunk.pos_embed": ("vision_model.embeddings.position_embedding.weight", 1),
}
"""open_clip's whole name to the port's, and the leading axes of length 1 that the port leaves out."""
_SIGLIP_STEMS = (
    {
        "vision_model.embeddings.patch_embedding": "visual.trunk.patch_embed.proj",
        "vision_model.post_layernorm": "visual.trunk.norm",
        "vision_model.head.attention.q": "visual.trunk.attn_pool.q",
        "vision_model.head.attention.kv": "visual.trunk.attn_pool.kv",
        "vision_model.head.attention.out_proj": "visual.trunk.attn_pool.proj",
        "vision_model.head.layernorm": "visual.trunk.attn_pool.norm",
        "vision_model.head.mlp.fc1": "visual.trunk.attn_pool.mlp.fc1",
        "vision_model.head.mlp.fc2": "visual.trunk.attn_pool.mlp.fc2",
        "text_model.head": "text.text_projection",
    }
    | {theirs: f"text.{own}" for theirs, own in _CLIP_STEMS.items() if theirs.startswith("text_model.")}
    | {
        f"vision_model.encoder.layers.#.{theirs}": f"visual.trunk.blocks.#.{own}"
        for theirs, own in {
            "layer_norm1": "norm1",
            "layer_norm2": "norm2",
            "self_attn.qkv_proj": "attn.qkv",
            "self_attn.out_proj": "attn.proj",
            "mlp.fc1": "mlp.fc1",
            "mlp.fc2": "mlp.fc2",
        }.items()
    }
)
"""transformers' SigLIP's name to open_clip's with timm's trunk, as above."""
_SIGLIP_WHOLE: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "vision_model.embeddings.position_embedding.weight": (
        "visual.trunk.pos_embed",
        lambda value: value[None],
    ),
    "vision_model.head.probe": ("visual.trunk.attn_pool.latent", Tensor.contiguous),
    "text_model.embeddings.position_embedding.weight": ("text.positional_embedding", Tensor.contiguous),
}
_SIGLIP_POOLING = "vision_model.head.attention.in_proj_"
_SHARED = ("logit_scale", "logit_bias")
_UNIMED_TEXT = "text_encoder."


def is_clip_model(names: Iterable[str]) -> bool:
    """Whether these are names of transformers' CLIP, and not of BiomedCLIP's port, whose text tower is a BERT."""
    listed = list(names)
    bert = any(name.startswith("text_model.embeddings.token_type_embedding") for name in listed)
    return not bert and any(name.startswith("text_model.final_layer_norm.") for name in listed)


def from_clip_model(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to open_clip's names; unknown names, and incomplete triples of query, key and value, stay."""
    return _to_open_clip(_with_fused_qkv(weights, ("vision_model.", "text_model.")), _CLIP_STEMS, _CLIP_WHOLE)


def is_unimed(names: Iterable[str]) -> bool:
    """Whether these are names of UniMed-CLIP, a branch of open_clip that calls a BERT `text_encoder`."""
    return any(name.startswith(f"{_UNIMED_TEXT}transformer.embeddings.") for name in names)


def from_unimed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to open_clip's names."""
    return {
        f"text.{name.removeprefix(_UNIMED_TEXT)}" if name.startswith(_UNIMED_TEXT) else name: value
        for name, value in weights.items()
    }


def is_siglip(names: Iterable[str]) -> bool:
    """Whether these are names of transformers' SigLIP, which pools by attention."""
    return "vision_model.head.probe" in names


def from_siglip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to open_clip's names; queries of the pooling stand apart from its keys and values there."""
    split = dict(weights)
    for leaf in ("weight", "bias"):
        if (fused := split.pop(f"{_SIGLIP_POOLING}{leaf}", None)) is not None:
            query, *others = fused.chunk(3)
            split[f"vision_model.head.attention.q.{leaf}"] = query
            split[f"vision_model.head.attention.kv.{leaf}"] = torch.cat(others)
    return _to_open_clip(
        _with_fused_qkv(split, ("vision_model.", "text_model.")), _SIGLIP_STEMS, _SIGLIP_WHOLE
    )


def is_huggingface(names: Iterable[str]) -> bool:
    """Whether these are names of the port, at least in part."""
    return any(name.startswith(("vision_model.", "text_model.", "visual_projection.")) for name in names)


def from_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to open_clip's names and fuse queries, keys and values; unknown names stay."""
    stems = {port: own for own, port in _PORT_STEMS.items()}
    whole: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
        port: (own, lambda value, axes=axes: value.reshape((1,) * axes + value.shape))  # type: ignore[misc]
        for own, (port, axes) in _PORT_FLAT.items()
    }
    return _to_open_clip(_with_fused_qkv(weights, ("vision_model.",)), stems, whole)


def to_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to the port's names; every tensor is a copy.

    Raises:
        UserError: the port has no place for one, because the network is not built like BiomedCLIP.
    """
    result: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name in _PORT_FLAT:
            port, axes = _PORT_FLAT[name]
            result[port] = value.reshape(value.shape[axes:])
            continue
        port = _renamed(name, _PORT_STEMS)
        if ".qkv_proj." in port:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                result[port.replace(".qkv_proj.", f".{letter}_proj.")] = part
        else:
            result[port] = value
    if strange := sorted(result.keys() & weights.keys() - set(_SHARED)):
        raise UserError(
            "the Hugging Face layout is for networks built like BiomedCLIP (timm ViT, BERT, projections of one "
            f"and two layers) and has no place for {first_few(strange, 3)}; export to the layout open_clip."
        )
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in result.items()}


def _to_open_clip(
    weights: Mapping[str, Tensor],
    stems: Mapping[str, str],
    whole: Mapping[str, tuple[str, Callable[[Tensor], Tensor]]],
) -> dict[str, Tensor]:
    result = {}
    for name, value in weights.items():
        own, changed = whole.get(name, (_renamed(name, stems), None))
        result[own] = changed(value) if changed else value
    return result


def _renamed(name: str, stems: Mapping[str, str]) -> str:
    """The name by a table of stems; unchanged when it is not there."""
    stem, _, leaf = name.rpartition(".")
    number = re.search(r"\.(\d+)\.", stem)
    found = stems.get(re.sub(r"\.\d+\.", ".#.", stem, count=1))
    if found is None or leaf not in ("weight", "bias"):
        return name
    found = found.replace("#", number[1] if number else "")
    return f"{found}{leaf}" if found.endswith("_") else f"{found}.{leaf}"


def _with_fused_qkv(weights: Mapping[str, Tensor], towers: tuple[str, ...]) -> dict[str, Tensor]:
    """Queries, keys and values of each block of some towers in one piece `qkv_proj`, where all three are alike."""
    result = dict(weights)
    for name in weights:
        if not name.startswith(towers) or ".self_attn.q_proj." not in name:
            continue
        names = [name.replace(".q_proj.", f".{letter}_proj.") for letter in "qkv"]
        parts = [weights[one] for one in names if one in weights]
        if len(parts) == 3 and len({part.shape for part in parts}) == 1:
            result = {one: value for one, value in result.items() if one not in names}
            result[name.replace(".q_proj.", ".qkv_proj.")] = torch.cat(parts)
    return result
