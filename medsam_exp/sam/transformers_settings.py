"""The config.json beside weights of transformers: does it describe the network that was asked for?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medsam_exp.runtime.foreign import naming_the_file, read_table_of_json
from medsam_exp.types import UserError

_UNSEEN = (
    "image_size",
    "patch_size",
    "num_attention_heads",
    "num_attention_heads_per_stage",
    "window_size",
    "window_size_per_stage",
    "global_attn_indexes",
    "global_attention_blocks",
)
"""What changes the masks and the shape of no weight."""


def refuse_other_settings(path: Path, network: Any, architecture: str) -> None:
    """Refuse weights of a network whose shapes are the same, but which computes something else.

    Args:
        path: of config.json.
        network: one of transformers' with its `config`, or any other, of which nothing is known here.
        architecture: what was asked for.

    Raises:
        UserError: the file cannot be read, or has another value than the network.
    """
    if not hasattr(network, "config"):
        return
    content = read_table_of_json(path, "take the hub's folder whole")
    with naming_the_file(path, "describes no network", "take the hub's folder whole"):
        stored = dict(_settings(content))
    for place, own in _settings(network.config.to_dict()):
        if (value := stored.get(place, own)) != own:
            raise UserError(
                f"{path} says {'.'.join(place)}={value}, but {architecture} has {own}; choose the sam that these "
                "weights were trained as."
            )


def _settings(config: Mapping[str, Any], section: str = "") -> Iterator[tuple[tuple[str, str], Any]]:
    """Each setting of `_UNSEEN` by its section and name, at any depth; a square's side is one number."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _settings(value, name)
        elif name in _UNSEEN and value is not None:
            sides = list(value) if isinstance(value, list | tuple) else [value]
            yield (section, name), sides[0] if len(set(sides)) == 1 else sides
