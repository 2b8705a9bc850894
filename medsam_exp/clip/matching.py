"""Put weights into a network, or show in a short table why they do not fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from medsam_exp.clip.recognise import looks_like
from medsam_exp.clip.state_dict_diff import in_names_of, misfits
from medsam_exp.types import UserError

_SHOWN = 5
_POSITIONS = ("positional_embedding", "pos_embed", "position_embeddings.weight")


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Copy weights into a network, whatever layout their names show; half precision is widened.

    Args:
        network: open_clip's.
        weights: named as open_clip names them, with or without `text.` before the text tower's, or as in
            transformers' CLIPModel or BiomedCLIP's Hugging Face port.
        path: where they come from, to be named in errors.
        model: as the user wrote it, likewise.

    Raises:
        UserError: names or shapes differ; a table lists the first few.
    """
    named = in_names_of(network, weights)
    problems = misfits(network, named)
    if any(problems.values()):
        counts = ", ".join(f"{len(keys)} {what}" for what, keys in problems.items() if keys)
        tables = "".join(_table(what, keys) for what, keys in problems.items() if keys)
        advice = looks_like(weights) or _advice(problems, model)
        raise UserError(
            f"the weights in {path} do not fit clip.model={model} ({counts}, of {len(network.state_dict())}); "
            f"{advice}. In open_clip's names:{tables}"
        )
    network.load_state_dict(named)


def _advice(problems: Mapping[str, Sequence[str]], model: str) -> str:
    """What to do with weights that fit no network that is known."""
    misshapen = [row.partition("  ")[0] for row in problems["of another shape"]]
    if not problems["missing"] and misshapen and all(name.endswith(_POSITIONS) for name in misshapen):
        return (
            "they were trained with another image size or text length, and positions are not interpolated: describe "
            "their network in a folder's open_clip_config.json (image_size, context_length) and give that as clip.model"
        )
    if not problems["missing"] and not misshapen:
        return (
            f"all that clip.model={model} needs is there, and more; where that is no part of the network, save its "
            "state_dict() alone"
        )
    return "set clip.model to the network that they were trained with"


def _table(what: str, rows: Sequence[str]) -> str:
    shown = [f"  {what}:", *(f"    {row}" for row in rows[:_SHOWN])]
    if rows[_SHOWN:]:
        shown.append(f"    and {len(rows) - _SHOWN} more")
    return "".join(f"\n{line}" for line in shown)
