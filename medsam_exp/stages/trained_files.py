"""The files that a training leaves in its stage's folder, and whether they are still what it wrote."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import crc32_of
from medsam_exp.stages.records import TrainedRecord

DAMAGED = ".damaged"
"""Added to the name of a file that was not what a training wrote, or is put in its place where it is gone."""
_OF_A_NETWORK = frozenset({".safetensors", ".pth", ".json", ".txt", ".bin"})


def checksums_of(folder: Path, results: str, kinds: Collection[str] = _OF_A_NETWORK) -> dict[str, int]:
    """CRC-32 of a network's file, or of the files in its folder, by path below the stage's folder.

    Args:
        folder: of the stage.
        results: the file or folder below it.
        kinds: endings of the files that the network is read from.
    """
    place = folder / results
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return {
        str(path.relative_to(folder)): crc32_of(path)
        for path in files
        if path.is_file() and path.suffix in kinds
    }


def trained_results(artifacts: StageArtifacts) -> Path:
    """File or folder of the network that a stage has trained.

    Raises:
        LostRecordError: a file of it is gone or damaged; the stage is to be run again.
    """
    record = artifacts.record("all", TrainedRecord)
    for name, known in record.get("files", {}).items():
        path = artifacts.folder / name
        if not path.is_file() or crc32_of(path) != known:
            _set_aside(artifacts, path)
    return artifacts.folder / record["results"]


def _set_aside(artifacts: StageArtifacts, path: Path) -> NoReturn:
    aside = path.with_name(path.name + DAMAGED)
    with suppress(FileNotFoundError):  # it is gone, or another process of the job was faster
        path.replace(aside)
    aside.touch()
    artifacts.forget("all", f"{path.name} is not what the training wrote")
