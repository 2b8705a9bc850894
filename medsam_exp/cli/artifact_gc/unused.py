"""Stored results that nobody needs: found, and deleted when somebody has agreed. Nothing here deletes by itself."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from medsam_exp.cli.artifact_gc.artifacts import Artifact, find_artifacts, trash_name
from medsam_exp.cli.artifact_gc.references import References, files_that_may_refer, find_references
from medsam_exp.cli.artifact_gc.runs import Run, find_runs
from medsam_exp.runtime.run_status import is_running
from medsam_exp.runtime.sizes import extent
from medsam_exp.types import UserError

_HOUR = 3600.0


@dataclass(frozen=True)
class Places:
    """Where to look.

    Attributes:
        outputs: folders of runs and sweeps; all that use the artifacts.
        artifacts: folder of stored results.
        checkouts: folders whose configurations and scripts may name artifacts.
    """

    outputs: tuple[Path, ...]
    artifacts: Path
    checkouts: tuple[Path, ...]

    def runs(self) -> list[Run]:
        """All runs and sweeps."""
        return [run for outputs in self.outputs for run in find_runs(outputs, self.artifacts)]

    def references(self, artifacts: Sequence[Artifact], runs: Sequence[Run]) -> References:
        """Who needs which of the artifacts.

        Raises:
            UserError: there are no configurations, so that what they need cannot be known.
        """
        if not any((checkout / "conf").is_dir() for checkout in self.checkouts):
            raise UserError(
                f"there is no conf/ in {' or '.join(map(str, self.checkouts))}, so what configurations need is not "
                "known; start this in the checkout"
            )
        folders = [folder for run in runs for folder in run.folders]
        files = [file for checkout in self.checkouts for file in files_that_may_refer(checkout)]
        return find_references(artifacts, folders, files)


@dataclass(frozen=True)
class Survey:
    """All stored results, sorted into those to keep and those to offer.

    Attributes:
        stale: what nobody needs.
        needed: what somebody needs.
        busy: what nobody needs, but a process computes it now.
        young: what nobody needs, but it was used a short while ago.
        unreadable: why nothing is offered, one sentence a file; then everything counts as needed.
        silent: runs that were killed or failed without saying what they use.
    """

    stale: tuple[Artifact, ...]
    needed: tuple[Artifact, ...]
    busy: tuple[Artifact, ...]
    young: tuple[Artifact, ...]
    unreadable: tuple[str, ...]
    silent: tuple[Path, ...]


def survey(places: Places, hours: float) -> Survey:
    """Look at every stored result, and at everybody who may need it.

    Args:
        places: where to look.
        hours: what was used since then is kept.

    Raises:
        UserError: there are no runs, so that nothing would seem to be needed.
    """
    runs = places.runs()
    if not runs:
        raise UserError(
            f"there are no runs below {', '.join(map(str, places.outputs))}, so nothing tells what is needed; give "
            f"the folder of the runs, or delete {places.artifacts} by hand if nothing of it is"
        )
    artifacts = find_artifacts(places.artifacts)
    references = places.references(artifacts, runs)
    if references.unreadable:
        return Survey((), tuple(artifacts), (), (), references.unreadable, references.silent)
    sorted_into: dict[str, list[Artifact]] = {"needed": [], "busy": [], "young": [], "stale": []}
    needed = references.needed
    for artifact in artifacts:
        sorted_into[_fate(artifact, artifact in needed, hours)].append(artifact)
    parts = {name: tuple(own) for name, own in sorted_into.items()}
    return Survey(
        **parts, unreadable=(), silent=tuple(run for run in references.silent if not is_running(run))
    )


def _fate(artifact: Artifact, needed: bool, hours: float) -> str:
    if artifact.left_over:
        return "stale"
    if needed:
        return "needed"
    if artifact.being_written:
        return "busy"
    return "young" if time.time() - artifact.extent.changed < hours * _HOUR else "stale"


def reason(artifact: Artifact, now: float) -> str:
    """Why an artifact is offered for deletion, in words."""
    if artifact.left_over:
        return "its deletion was broken off"
    days = (now - artifact.extent.changed) / (24 * _HOUR)
    age = f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
    state = "" if artifact.finished else ", never finished"
    return f"no run or configuration names it{state}; last used {age} ago"


def delete(artifact: Artifact, hours: float) -> int:
    """Delete one artifact, unless a process has come to it meanwhile.

    It is moved out of sight first, so that no run ever finds half of it.

    Args:
        artifact: what to delete.
        hours: as in `survey`.

    Returns:
        The bytes that were freed; 0 when it was kept.
    """
    lock = FileLock(artifact.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return 0
    try:
        trash = trash_name(artifact)
        if not artifact.left_over:
            if time.time() - extent(artifact.folder).changed < hours * _HOUR:
                return 0
            if trash.exists():
                shutil.rmtree(trash)
            artifact.folder.rename(trash)
        shutil.rmtree(trash)
        if not artifact.folder.exists():
            artifact.lock.unlink(
                missing_ok=True
            )  # while it is held: whoever waits for it sees that it is gone
        return artifact.extent.bytes
    finally:
        lock.release()
