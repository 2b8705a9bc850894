"""What a run stored, read back without its plan."""

from pathlib import Path
from typing import Any

from medsam_exp.runtime.artifacts import StageArtifacts, stored_digests


def stored(folder: Path) -> StageArtifacts:
    """The records of a folder STAGE/KEY; of each sample the newest."""
    digests = {name: of[-1] for name, of in stored_digests(folder).items()}
    return StageArtifacts(folder.parents[1], folder.parent.name, folder.name, digests)


def stored_ids(folder: Path) -> list[str]:
    """Ids of the samples with records in a folder STAGE/KEY, in order."""
    return sorted(stored_digests(folder))


def stored_infos(folder: Path) -> list[dict[str, Any]]:
    """The facts of all samples of a folder STAGE/KEY, by id."""
    artifacts = stored(folder)
    return [artifacts.info(name) for name in stored_ids(folder)]
