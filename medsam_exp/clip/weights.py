"""Weights of any known layout for a CLIP network: load them, or say what differs and what they look like."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from torch import Tensor, nn

from medsam_exp.clip.layouts import (
    from_clip_model,
    from_huggingface,
    from_siglip,
    from_unimed,
    is_clip_model,
    is_huggingface,
    is_siglip,
    is_unimed,
)
from medsam_exp.clip.network import build_network
from medsam_exp.clip.source import ClipSource, find_source
from medsam_exp.runtime.checkpoint.fit import StateDictDiff, network_kind, state_dict_diff
from medsam_exp.types import UserError

_SHOWN = 3
_POSITIONS = ("positional_embedding", "pos_embed", "position_embeddings.weight")
_LAYOUTS = (
    (is_siglip, from_siglip),  # before CLIP, whose text tower has the same names
    (is_clip_model, from_clip_model),
    (is_huggingface, from_huggingface),
    (is_unimed, from_unimed),
)
"""Whether names are of a layout, and the weights under open_clip's names."""
_CONSTANTS = ("position_ids", "token_type_ids")
"""Buffers that older versions of transformers saved."""
_BERT = ("text.transformer.embeddings.", "text_model.embeddings.token_type_embedding")
_UNIMED = ("unimed_clip_b16", "unimed_clip_l14", "unimed_clip_l14_large")
BIOMEDCLIP: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {
        "timm_model_name": "vit_base_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224,
    },
    "text_cfg": {
        "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 256,
    },
}  # fmt: skip
"""BiomedCLIP's network (Zhang 2023), as its publishers describe it."""


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Copy weights into a network, whatever layout their names show; half precision is widened.

    Args:
        network: open_clip's.
        weights: named as open_clip names them, with or without `text.` before the text tower's, or as in
            transformers' CLIPModel or SiglipModel, BiomedCLIP's Hugging Face port or UniMed-CLIP.
        path: where they come from, to be named in errors.
        model: as the user wrote it, likewise.

    Raises:
        UserError: names or shapes differ; a table lists the first few.
    """
    named = _in_names_of(network, weights)
    if diff := state_dict_diff(named, network):
        raise UserError(
            f"the weights in {path} do not fit clip.model={model} ({diff.summary()}); "
            f"{looks_like(weights) or _advice(diff, model)}. In open_clip's names:{diff.table()}"
        )
    network.load_state_dict(named)


def _in_names_of(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of any known layout in the names that this network uses."""
    own = network.state_dict()
    weights = dict(weights)
    for seen, renamed in _LAYOUTS:
        if seen(weights):
            weights = renamed(weights)
    weights = convert_state_dict(network, weights)
    weights = {_text_name(key, own, weights): value for key, value in weights.items()}
    for key in ("logit_scale", "logit_bias"):
        if key in weights and key in own and weights[key].numel() == 1:
            weights[key] = weights[key].reshape(own[key].shape)
    return {
        key: value for key, value in weights.items() if key in own or key.rpartition(".")[2] not in _CONSTANTS
    }


def looks_like(weights: Mapping[str, Tensor]) -> str:
    """Recognise what network weights are of: half a sentence with the choice that loads them; empty if unknown.

    Args:
        weights: by name, of any known layout; only names and shapes are looked at.
    """
    weights = {name: value.to("meta") for name, value in weights.items()}
    if network_kind(weights) == "SAM":
        return "they look like a SAM's, so give them as sam.checkpoint"
    if any(name.startswith(_BERT) for name in weights) and _fits(_named("biomedclip"), weights):
        return "they look like BiomedCLIP's, so choose clip=biomedclip_finetuned"
    if is_unimed(weights) and (name := next((one for one in _UNIMED if _fits(_named(one), weights)), None)):
        return f"they look like UniMed-CLIP's, so choose clip={name}"
    weights = from_clip_model(weights) if is_clip_model(weights) else weights
    names = [name for name in _similar(weights) if _fits(_named(name), weights)]
    if not names:
        return ""
    shown = " or ".join(names[:_SHOWN])
    return f"they look like open_clip's {shown}, so set clip.model={names[0]}"


def _advice(diff: StateDictDiff, model: str) -> str:
    """What to do with weights that fit no network that is known."""
    if not diff.missing and diff.misshapen and all(name.endswith(_POSITIONS) for name in diff.misshapen):
        return (
            "they were trained with another image size or text length, and positions are not interpolated: describe "
            "their network in a folder's open_clip_config.json (image_size, context_length) and give that as clip.model"
        )
    surplus = diff.surplus_advice(f"clip.model={model}")
    return surplus or "set clip.model to the network that they were trained with"


def _fits(network: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Whether weights of any known layout can be loaded into a network; only names and shapes are looked at."""
    return not state_dict_diff(_in_names_of(network, weights), network)


def _text_name(key: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """The name with or without `text.` before it, as the network has it; open_clip has both kinds of network."""
    if key in own:
        return key
    other = key.removeprefix("text.") if key.startswith("text.") else f"text.{key}"
    return other if other in own and other not in weights else key


@cache
def _named(name: str) -> nn.Module:
    """One of open_clip's networks, or BiomedCLIP's, without memory for its weights."""
    source = ClipSource(name, BIOMEDCLIP, {}) if name == "biomedclip" else find_source(name)
    with torch.device("meta"):
        return build_network(source)


def _similar(weights: Mapping[str, Tensor]) -> list[str]:
    """open_clip's plain networks that have texts and channels of these sizes.

    Those with OpenAI's activation come first, as their weights are commonest.
    """
    names = ("visual.conv1.weight", "token_embedding.weight", "positional_embedding")
    first, words, places = (tuple(weights[name].shape) if name in weights else () for name in names)
    if len(first) != 4 or len(words) != 2 or len(places) != 2:
        return []
    width = first[0] * (2 if "visual.attnpool.c_proj.weight" in weights else 1)
    sizes = {"vocab_size": words[0], "width": words[1], "context_length": places[0]}
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    found = [
        name
        for name, cfg in configs.items()
        if not cfg.get("custom_text")
        and cfg["vision_cfg"].get("width") == width
        and sizes == {key: cfg["text_cfg"].get(key) for key in sizes}
    ]
    return sorted(found, key=lambda name: ("quickgelu" not in name, len(name), name))
