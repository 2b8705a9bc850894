"""The local files that decide what a text-prompted segmenter computes; neither torch nor transformers is imported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsam_exp.clip.weight_files import weight_files as clip_weight_files
from medsam_exp.sam.weight_files import weight_files as sam_weight_files
from medsam_exp.types import UserError

CONFIG = "config.json"
GROUP = "text_segmenter"
"""Configuration group of these networks."""
_SUFFIXES = {".json", ".txt", ".model", ".safetensors", ".bin"}
"""Of the files of a Hugging Face folder: descriptions, vocabularies, weights."""


def weight_files(
    model: str | None = None,
    sam: Mapping[str, Any] | None = None,
    clip: Mapping[str, Any] | None = None,
    key: str = GROUP,
    **_: object,
) -> list[Path]:
    """Local files that decide what a text-prompted segmenter computes.

    Args:
        model: a folder as on the Hugging Face hub, or one file of weights; None where SAM and CLIP are all.
        sam: the configuration node of a SAM that draws masks in the boxes that the network finds.
        clip: that of a CLIP that chooses among regions.
        key: configuration group that names the model, for messages.

    Raises:
        UserError: something is missing; says what.
    """
    files = [] if model is None else _own_files(Path(model).expanduser(), key)
    for node, files_of in ((sam, sam_weight_files), (clip, clip_weight_files)):
        if node is not None:
            files += files_of(
                **{str(name): value for name, value in node.items() if not str(name).startswith("_")}
            )
    return files


def _own_files(path: Path, key: str) -> list[Path]:
    if path.is_dir():
        if not (path / CONFIG).is_file():
            raise UserError(f"{key}.model={path} has no {CONFIG}; take the hub's folder whole.")
        return sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES)
    if path.is_file():
        return [path]
    raise UserError(
        f"{key}.model={path} is neither a folder nor a file; `medsam-exp weights list` says what can be "
        f"fetched and what only by hand; or let {key}.model point at the hub's folder, which conf/{key} names."
    )
