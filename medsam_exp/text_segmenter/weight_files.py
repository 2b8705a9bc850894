"""The local files that decide what a text-prompted segmenter computes; neither torch nor transformers is imported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsam_exp.sam.weight_files import weight_files as sam_weight_files
from medsam_exp.types import UserError

CONFIG = "config.json"
GROUP = "text_segmenter"
"""Configuration group of these networks."""
_SUFFIXES = {".json", ".txt", ".model", ".safetensors", ".bin"}
"""Of the files of a Hugging Face folder: descriptions, vocabularies, weights."""


def weight_files(
    model: str, sam: Mapping[str, Any] | None = None, key: str = GROUP, **_: object
) -> list[Path]:
    """Local files that decide what a text-prompted segmenter computes.

    Args:
        model: a folder as on the Hugging Face hub, or one file of weights.
        sam: the configuration node of a SAM that draws masks in the boxes that the network finds.
        key: configuration group that names the model, for messages.

    Raises:
        UserError: something is missing; says what.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / CONFIG).is_file():
            raise UserError(f"{key}.model={path} has no {CONFIG}; take the hub's folder whole.")
        files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES)
    elif path.is_file():
        files = [path]
    else:
        raise UserError(
            f"{key}.model={path} is neither a folder nor a file; `medsam-exp weights list` says what can be "
            f"fetched and what only by hand; or let {key}.model point at the hub's folder, which conf/{key} names."
        )
    if sam is not None:
        arguments = {str(key): value for key, value in sam.items() if not str(key).startswith("_")}
        files += sam_weight_files(**arguments)
    return files
