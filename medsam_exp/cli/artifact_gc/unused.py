"""Garbage collection of stored results: what no run, sweep or configuration reaches is offered, and deleted on demand.

Stored results lie in `outputs/artifacts/STAGE/KEY/`, with a lock file beside each. A key counts as a reference wherever
it is written: in a run's summary, in the list of keys that a run begins with, in its configuration (a network that was
trained before), in a tuned file, in a script. What is referred to needs its parents, too. Nothing deletes by itself.
"""

import json
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from medsam_exp.cli.artifact_gc.runs import Run, find_runs
from medsam_exp.runtime.locks import is_locked
from medsam_exp.runtime.run_status import KEYS_FILE, is_running
from medsam_exp.runtime.sizes import Extent, extent
from medsam_exp.sweep.status import SWEEP_FILE
from medsam_exp.types import UserError

_HOUR = 3600.0
_KEY = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_FOLDER = re.compile(r"(?P<trash>\.deleted-)?(?P<key>[0-9a-f]{16})")
_TEXTS = {".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}


@dataclass(frozen=True)
class Artifact:
    """What one stage has computed under one key.

    Attributes:
        stage: the stage's name.
        key: 16 hex digits.
        folder: where it lies.
        extent: what it takes; its time is that of its last use.
        finished: whether the stage came to an end.
        half_deleted: whether a deletion of it was interrupted.
    """

    stage: str
    key: str
    folder: Path
    extent: Extent
    finished: bool
    half_deleted: bool = False

    @property
    def lock(self) -> Path:
        """The lock that the process that computes it holds."""
        return self.folder.parent / f"{self.key}.lock"

    @property
    def manifest(self) -> Path:
        """The file that says in words what the key stands for."""
        return self.folder / "manifest.json"

    @property
    def trash(self) -> Path:
        """Where it is moved before its files are deleted, so that no run ever finds half of it."""
        return self.folder.parent / f".deleted-{self.key}"

    @property
    def is_computed_now(self) -> bool:
        """Whether a process computes it now; several may work on a search."""
        return any(map(is_locked, [self.lock, *self.folder.glob("*.lock")]))


def find_artifacts(root: Path) -> list[Artifact]:
    """Every artifact below a folder of artifacts, by stage and key; other files there do not count.

    Args:
        root: folder of all artifacts; one that does not exist has none.
    """
    found = []
    for folder in (folder for stage in _folders(root) for folder in _folders(stage)):
        if name := _FOLDER.fullmatch(folder.name):
            finished = (folder / "manifest.json").is_file()
            half_deleted = name["trash"] is not None
            found.append(
                Artifact(folder.parent.name, name["key"], folder, extent(folder), finished, half_deleted)
            )
    return found


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink())


@dataclass(frozen=True)
class References:
    """Which runs and files refer to which artifacts.

    Attributes:
        by_user: artifacts that a run's folder or a file reaches, their parents included.
        unreadable: one sentence for each file that should name artifacts and cannot be read.
        without_keys: runs that neither ended nor recorded what they use.
    """

    by_user: Mapping[Path, frozenset[Artifact]]
    unreadable: tuple[str, ...]
    without_keys: tuple[Path, ...]

    @property
    def needed(self) -> frozenset[Artifact]:
        """All artifacts that are reached."""
        return frozenset().union(*self.by_user.values())

    def needed_by_others(self, users: Iterable[Path]) -> frozenset[Artifact]:
        """What would still be reached without some users."""
        gone = set(users)
        return frozenset().union(*(own for user, own in self.by_user.items() if user not in gone))


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
        """Follow all references from runs, configurations and scripts to artifacts.

        Raises:
            UserError: there are no configurations, so that what they need cannot be known.
        """
        if not any((checkout / "conf").is_dir() for checkout in self.checkouts):
            raise UserError(
                f"there is no conf/ in {' or '.join(map(str, self.checkouts))}, so what configurations need is not "
                "known; start this in the checkout"
            )
        finder = _Finder(artifacts)
        by_user: dict[Path, frozenset[Artifact]] = {}
        without_keys = []
        for folder in (folder for run in runs for folder in run.folders):
            try:
                texts = _texts_of_run(folder)
            except OSError as error:
                finder.unreadable.append(f"{folder} cannot be read ({error.strerror})")
                continue
            by_user[folder] = finder.reached_from([finder.read(path) for path in texts])
            finder.check_summary(folder / "summary.json")
            if not {"summary.json", KEYS_FILE, SWEEP_FILE} & {path.name for path in texts}:
                without_keys.append(folder)
        for file in (file for checkout in self.checkouts for file in _files_that_may_refer(checkout)):
            if reached := finder.reached_from([finder.read(file)]):
                by_user[file] = reached
        return References(by_user, tuple(dict.fromkeys(finder.unreadable)), tuple(without_keys))


def _files_that_may_refer(checkout: Path) -> list[Path]:
    """Configurations, experiments and scripts of a checkout, and what lies beside them."""
    folders = [(checkout / name).rglob("*") for name in ("conf", "experiments")]
    found = [*checkout.glob("*"), *(path for folder in folders for path in folder)]
    return sorted(path for path in found if path.suffix in _TEXTS and path.is_file())


def _texts_of_run(run: Path) -> list[Path]:
    """Everything small in a run's folder about its configuration and results.

    Raises:
        OSError: it cannot be looked into, or is not there.
    """
    found = list(run.iterdir())
    if (run / ".hydra").is_dir():
        found += (run / ".hydra").iterdir()
    return sorted(path for path in found if path.suffix in {".json", ".yaml"} and path.is_file())


class _Finder:
    """Reads files and follows keys from artifact to artifact."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self._by_key: dict[str, list[Artifact]] = {}
        for artifact in artifacts:
            if not artifact.half_deleted:
                self._by_key.setdefault(artifact.key, []).append(artifact)
        self._parents: dict[Artifact, set[str]] = {}
        self.unreadable: list[str] = []

    def read(self, path: Path) -> str:
        try:
            return path.read_text(errors="replace")  # keys are ASCII
        except OSError as error:
            self._note(path, error)
            return ""

    def check_summary(self, path: Path) -> None:
        """A summary that is there must name its keys, else it may need anything."""
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            self._note(path, error)
            return
        if not isinstance(content, dict) or not isinstance(content.get("keys"), dict):
            self.unreadable.append(f"{path} does not name the keys of its results")

    def reached_from(self, texts: Iterable[str]) -> frozenset[Artifact]:
        reached: set[Artifact] = set()
        waiting = {key for text in texts for key in _KEY.findall(text)}
        while waiting:
            found = [artifact for artifact in self._by_key.get(waiting.pop(), []) if artifact not in reached]
            reached |= set(found)
            waiting |= {key for artifact in found for key in self._keys_in(artifact)}
        return frozenset(reached)

    def _keys_in(self, artifact: Artifact) -> set[str]:
        """Keys of what an artifact was made from."""
        if artifact not in self._parents:
            text = self.read(artifact.manifest) if artifact.finished else "{}"
            try:
                json.loads(text)
            except ValueError:
                self.unreadable.append(f"{artifact.manifest} cannot be read (no JSON)")
            self._parents[artifact] = set(_KEY.findall(text))
        return self._parents[artifact]

    def _note(self, path: Path, error: Exception) -> None:
        self.unreadable.append(f"{path} cannot be read ({str(error).splitlines()[0]})")


@dataclass(frozen=True)
class UnusedArtifacts:
    """All stored results, divided into those to offer for deletion and those to keep.

    Attributes:
        unused: what nothing refers to.
        needed: what a run, sweep or configuration refers to.
        computed_now: what nothing refers to, but a process computes it now.
        recent: what nothing refers to, but it was used a short while ago.
        unreadable: why nothing is offered, one sentence a file; then everything counts as needed.
        without_keys: runs that were killed or failed without recording what they use.
    """

    unused: tuple[Artifact, ...]
    needed: tuple[Artifact, ...]
    computed_now: tuple[Artifact, ...]
    recent: tuple[Artifact, ...]
    unreadable: tuple[str, ...]
    without_keys: tuple[Path, ...]


def find_unused(places: Places, hours: float) -> UnusedArtifacts:
    """Look at every stored result, and at everything that may refer to it.

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
        return UnusedArtifacts((), tuple(artifacts), (), (), references.unreadable, references.without_keys)
    needed = references.needed
    kinds = {artifact: _kind(artifact, artifact in needed, hours) for artifact in artifacts}

    def of(kind: str) -> tuple[Artifact, ...]:
        return tuple(artifact for artifact in artifacts if kinds[artifact] == kind)

    return UnusedArtifacts(
        unused=of("unused"),
        needed=of("needed"),
        computed_now=of("computed now"),
        recent=of("recent"),
        unreadable=(),
        without_keys=tuple(run for run in references.without_keys if not is_running(run)),
    )


def _kind(artifact: Artifact, needed: bool, hours: float) -> str:
    if artifact.half_deleted:
        return "unused"
    if needed:
        return "needed"
    if artifact.is_computed_now:
        return "computed now"
    return "recent" if time.time() - artifact.extent.changed < hours * _HOUR else "unused"


def reason(artifact: Artifact, now: float) -> str:
    """Why an artifact is offered for deletion, in words."""
    if artifact.half_deleted:
        return "its deletion was interrupted"
    days = (now - artifact.extent.changed) / (24 * _HOUR)
    age = f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
    state = "" if artifact.finished else ", never finished"
    return f"no run or configuration names it{state}; last used {age} ago"


def delete(artifact: Artifact, hours: float) -> int:
    """Delete one artifact, unless a process has come to it meanwhile.

    Args:
        artifact: what to delete.
        hours: as in `find_unused`.

    Returns:
        The bytes that were freed; 0 when it was kept.
    """
    lock = FileLock(artifact.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return 0
    try:
        if not artifact.half_deleted:
            if time.time() - extent(artifact.folder).changed < hours * _HOUR:
                return 0
            if artifact.trash.exists():
                shutil.rmtree(artifact.trash)
            artifact.folder.rename(artifact.trash)
        shutil.rmtree(artifact.trash)
        if not artifact.folder.exists():
            # Unlinked while it is held: whoever waits for it sees that it is gone.
            artifact.lock.unlink(missing_ok=True)
        return artifact.extent.bytes
    finally:
        lock.release()
