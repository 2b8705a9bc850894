"""The files that hold the weights of SAMs: how they are called when published, where from; torch is not imported."""

from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import medsam_exp.sam.architecture as home
from medsam_exp.sam.published import Published
from medsam_exp.types import UserError

RANDOM = "random"
"""In place of a checkpoint: random weights, for training from scratch."""
TINY_WEIGHTS = Path(str(files("medsam_exp"))) / "embedded" / "tiny_sam.safetensors"
_IN_FOLDER = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls weights in a folder of its own."""


def modules() -> list[ModuleType]:
    """Those of `medsam_exp.sam.architecture`, by name: a file there is a choice."""
    names = sorted(module.name for module in iter_modules(home.__path__))
    return [import_module(f"{home.__name__}.{name}") for name in names]


PUBLISHED: Mapping[str, Published] = {
    name: published for module in modules() for name, published in module.PUBLISHED.items()
}
"""By architecture; `medsam_exp.sam.families` builds each."""


def weight_files(architecture: str, checkpoint: str | None = None, seed: int = 0) -> list[Path]:  # noqa: ARG001
    """Local files that decide the weights of `load_sam` with the same arguments.

    Args:
        architecture: as of `load_sam`.
        checkpoint: as of `load_sam`.
        seed: as of `load_sam`; no file depends on it.

    Raises:
        UserError: no such architecture; the file is missing, with where to get it; or it has the name under
            which another architecture's weights are published.
    """
    if architecture not in PUBLISHED:
        raise UserError(f"sam.architecture={architecture} does not exist; there are {', '.join(PUBLISHED)}.")
    if checkpoint == RANDOM:
        return []
    if checkpoint is None and architecture != "tiny":
        raise UserError(f"sam.checkpoint is not set for {architecture}: {_where_from(architecture)}.")
    path = TINY_WEIGHTS if checkpoint is None else Path(checkpoint)
    # MedSAM's tensors look like those of vit_b.
    named = next(
        (name for name, known in PUBLISHED.items() if path.name in (known.file, *known.others)), architecture
    )
    if named != architecture and path.is_file():
        raise UserError(
            f"sam.checkpoint={path} has the name of the published weights of {named}, not {architecture}: "
            f"choose sam={named}, or give the file another name if that is what you mean."
        )
    if path.is_dir():
        return _files_in(path)
    if not path.is_file():
        raise UserError(f"sam.checkpoint={path} is not a file: {_where_from(architecture)}.")
    return [path]


def _files_in(folder: Path) -> list[Path]:
    """The weights in a folder of transformers, and the description of their network where it is there."""
    weights = [folder / name for name in _IN_FOLDER if (folder / name).is_file()][:1]
    if not weights:
        raise UserError(
            f"sam.checkpoint={folder} is a folder without {' or '.join(_IN_FOLDER)}: name the file of weights in it."
        )
    return weights + [path for path in (folder / "config.json",) if path.is_file()]


def _where_from(architecture: str) -> str:
    advice = PUBLISHED[architecture].where_from
    if architecture == "tiny":
        return f"{advice}, and sam=tiny_scratch starts from random weights"
    return f"{advice} and let sam.checkpoint point at it (or MEDSAM_WEIGHTS at its folder)"
