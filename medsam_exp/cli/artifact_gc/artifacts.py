"""The stored results of stages below `outputs/artifacts`, as folders: STAGE/KEY, with a lock file beside each."""

import re
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.runtime.locks import is_locked
from medsam_exp.runtime.sizes import Extent, extent

_KEY = re.compile(r"[0-9a-f]{16}")
_LEFT_OVER = re.compile(r"\.deleted-([0-9a-f]{16})")


@dataclass(frozen=True)
class Artifact:
    """What one stage has computed under one key.

    Attributes:
        stage: the stage's name.
        key: 16 hex digits.
        folder: where it lies.
        extent: what it takes; its time is that of its last use.
        finished: whether the stage came to an end.
        left_over: whether a deletion of it was broken off.
    """

    stage: str
    key: str
    folder: Path
    extent: Extent
    finished: bool
    left_over: bool = False

    @property
    def lock(self) -> Path:
        """The lock that whoever computes it holds."""
        return self.folder.parent / f"{self.key}.lock"

    @property
    def manifest(self) -> Path:
        """What says in words what the key stands for."""
        return self.folder / "manifest.json"

    @property
    def being_written(self) -> bool:
        """Whether a process computes it now; several may work on a search."""
        return any(map(is_locked, [self.lock, *self.folder.glob("*.lock")]))


def find_artifacts(root: Path) -> list[Artifact]:
    """Every artifact below a folder of artifacts, by stage and key; other files there are nobody's business.

    Args:
        root: folder of all artifacts; one that does not exist has none.
    """
    folders = (folder for stage in _folders(root) for folder in _folders(stage))
    return [_artifact(folder) for folder in folders if _KEY.fullmatch(folder.name) or _left_over(folder)]


def _artifact(folder: Path) -> Artifact:
    left_over = _left_over(folder)
    key = folder.name.removeprefix(".deleted-")
    finished = (folder / "manifest.json").is_file()
    return Artifact(folder.parent.name, key, folder, extent(folder), finished, left_over)


def _left_over(folder: Path) -> bool:
    return _LEFT_OVER.fullmatch(folder.name) is not None


def trash_name(artifact: Artifact) -> Path:
    """Where an artifact is moved before its files are deleted, so that nobody ever finds half of it."""
    return artifact.folder.parent / f".deleted-{artifact.key}"


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink())
