"""Do weights fit a network? Their names as this network has them, and what is missing, unexpected or misshapen."""

from collections.abc import Mapping

from open_clip.convert import convert_state_dict
from torch import Tensor, nn

from medsam_exp.clip.clip_model_layout import from_clip_model, is_clip_model
from medsam_exp.clip.huggingface_layout import from_huggingface, is_huggingface

_LAYOUTS = ((is_clip_model, from_clip_model), (is_huggingface, from_huggingface))
"""Whether names are of a layout, and the weights under open_clip's names."""
_CONSTANTS = ("position_ids", "token_type_ids")
"""Buffers that older versions of transformers saved."""


def in_names_of(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def misfits(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Names that are missing, unexpected, or of another shape, of weights in the network's names."""
    own = network.state_dict()
    return {
        "missing": sorted(own.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - own.keys()),
        "of another shape": [
            f"{key}  {tuple(weights[key].shape)}, network {tuple(own[key].shape)}"
            for key in sorted(own.keys() & weights.keys())
            if own[key].shape != weights[key].shape
        ],
    }


def fits(network: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Whether weights of any known layout can be loaded into a network; only names and shapes are looked at."""
    return not any(misfits(network, in_names_of(network, weights)).values())


def _text_name(key: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """The name with or without `text.` before it, as the network has it; open_clip has both kinds of network."""
    if key in own:
        return key
    other = key.removeprefix("text.") if key.startswith("text.") else f"text.{key}"
    return other if other in own and other not in weights else key
