"""Put weights into a network, or show in a short table why they do not fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from open_clip.convert import convert_state_dict
from torch import Tensor, nn

from medsam_exp.clip.huggingface_layout import from_huggingface, is_huggingface
from medsam_exp.clip.recognise import looks_like
from medsam_exp.types import UserError

_SHOWN = 5
_CONSTANTS = ("position_ids", "token_type_ids")
"""Buffers that older versions of transformers saved."""


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Copy weights into a network, whatever layout their names show; half precision is widened.

    Args:
        network: open_clip's.
        weights: named as open_clip names them, with or without `text.` before the text tower's, or as in
            BiomedCLIP's Hugging Face port.
        path: where they come from, to be named in errors.
        model: as the user wrote it, likewise.

    Raises:
        UserError: names or shapes differ; a table lists the first few.
    """
    weights = _in_names_of(network, weights)
    own = network.state_dict()
    problems = {
        "missing": sorted(own.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - own.keys()),
        "of another shape": [
            f"{key}  {tuple(weights[key].shape)}, network {tuple(own[key].shape)}"
            for key in sorted(own.keys() & weights.keys())
            if own[key].shape != weights[key].shape
        ],
    }
    if any(problems.values()):
        counts = ", ".join(f"{len(keys)} {what}" for what, keys in problems.items() if keys)
        tables = "".join(_table(what, keys) for what, keys in problems.items() if keys)
        advice = looks_like(weights) or "set clip.model to the network that they were trained with"
        raise UserError(
            f"the weights in {path} do not fit clip.model={model} ({counts}, of {len(own)}); {advice}. In open_clip's "
            f"names:{tables}"
        )
    network.load_state_dict(weights)


def _in_names_of(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in the names that this network uses now."""
    own = network.state_dict()
    weights = from_huggingface(weights) if is_huggingface(weights) else dict(weights)
    weights = convert_state_dict(network, weights)
    weights = {_text_name(key, own, weights): value for key, value in weights.items()}
    for key in ("logit_scale", "logit_bias"):
        if key in weights and key in own and weights[key].numel() == 1:
            weights[key] = weights[key].reshape(own[key].shape)
    return {
        key: value for key, value in weights.items() if key in own or key.rpartition(".")[2] not in _CONSTANTS
    }


def _text_name(key: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """The name with or without `text.` before it, as the network has it; open_clip has both kinds of network."""
    if key in own:
        return key
    other = key.removeprefix("text.") if key.startswith("text.") else f"text.{key}"
    return other if other in own and other not in weights else key


def _table(what: str, rows: Sequence[str]) -> str:
    shown = [f"  {what}:", *(f"    {row}" for row in rows[:_SHOWN])]
    if rows[_SHOWN:]:
        shown.append(f"    and {len(rows) - _SHOWN} more")
    return "".join(f"\n{line}" for line in shown)
