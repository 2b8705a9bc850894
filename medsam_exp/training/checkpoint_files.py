"""Where a training stands, on disk: written whole or not at all, with the one before kept until the training ends."""

import io
import logging
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from medsam_exp.runtime.temporary_files import filled_beside

log = logging.getLogger(__name__)

LAST = "last.ckpt"
_BEFORE, _DAMAGED = ".before", ".damaged"


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's checkpoints, on the disk before they count; what a damaged one falls back to is beside it."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; an earlier one of the same name becomes the one before."""
        del storage_options
        path = Path(path)
        content = torch_bytes(checkpoint)
        with filled_beside(path, durable=True) as temporary:
            temporary.write_bytes(content)
            if path.is_file():
                path.replace(_before(path))


def torch_bytes(content: Any) -> memoryview:
    """What torch would save, to be written by whoever says what a disk refuses, which torch hides."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def whole_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a training that is as it was written; a damaged one is set aside. None for none."""
    last = folder / LAST
    for path in (last, _before(last)):
        if not path.is_file():
            continue
        if is_whole(path):
            return path
        path.replace(aside := path.with_name(path.name + _DAMAGED))
        log.warning("%s was damaged and is now called %s; the training goes on from before", path, aside.name)
    return None


def forget_the_one_before(folder: Path) -> None:
    """After a training's end."""
    _before(folder / LAST).unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether a file that torch has saved is as it was written, by its own checksums; torch does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False


def _before(path: Path) -> Path:
    return path.with_name(path.name + _BEFORE)
