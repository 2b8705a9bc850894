"""Garbage collection of stored results: what no run, sweep or configuration reaches is offered, and deleted on demand.

Stored results lie in `outputs/artifacts/STAGE/KEY/`, with a lock file beside each. A key counts as a reference wherever
it is written: in a run's summary, in the list of keys that a run begins with, in its configuration (a network that was
trained before), in a tuned file, in a script. What is referred to needs its parents, too. Nothing deletes by itself.
"""

import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.cli.artifact_gc.runs import Run, find_runs
from medsam_exp.runtime.locks import acquired, is_locked
from medsam_exp.runtime.run_status import KEYS_FILE, is_running
from medsam_exp.runtime.sizes import Extent, extent
from medsam_exp.runtime.wording import first_line
from medsam_exp.sweep.status import SWEEP_FILE
from medsam_exp.types import UserError

HOUR = 3600.0
_KEY = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_FOLDER = re.compile(r"(?P<trash>\.deleted-)?(?P<key>[0-9a-f]{16})")
_SUMMARY = "summary.json"
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
    half_deleted: bool

    @property
    def lock(self) -> Path:
        """The lock that the process that computes it holds."""
        return self.folder.parent / f"{self.key}.lock"


@dataclass(frozen=True)
class Inventory:
    """All stored results, all runs and sweeps, and what refers to what.

    Attributes:
        artifacts: by stage and key.
        runs: of all folders.
        by_user: artifacts that a run's folder or a file reaches, their parents included.
        unreadable: one sentence for each file that should name artifacts and cannot be read.
        without_keys: runs that ended early without recording what they use.
    """

    artifacts: tuple[Artifact, ...]
    runs: tuple[Run, ...]
    by_user: Mapping[Path, frozenset[Artifact]]
    unreadable: tuple[str, ...]
    without_keys: tuple[Path, ...]

    def reached_from(self, users: Iterable[Path]) -> frozenset[Artifact]:
        """What some users need."""
        return frozenset().union(*(self.by_user.get(user, frozenset()) for user in users))

    def by_kind(self, hours: float) -> dict[str, list[Artifact]]:
        """Artifacts that are "unused", and those to keep: "needed", "computed now" or "recent".

        Args:
            hours: what was used since then is recent.
        """
        kinds: dict[str, list[Artifact]] = {}
        needed = set(self.artifacts) if self.unreadable else self.reached_from(self.by_user)
        for artifact in self.artifacts:
            kinds.setdefault(_kind(artifact, artifact in needed, hours), []).append(artifact)
        return kinds


def _kind(artifact: Artifact, needed: bool, hours: float) -> str:
    if needed:
        return "needed"
    if artifact.half_deleted:
        return "unused"
    if any(map(is_locked, [artifact.lock, *artifact.folder.glob("*.lock")])):  # several may work on a search
        return "computed now"
    return "recent" if time.time() - artifact.extent.changed < hours * HOUR else "unused"


def take_inventory(outputs: Sequence[Path], artifacts: Path, checkouts: Sequence[Path]) -> Inventory:
    """Look at every stored result, and follow all references to them.

    Args:
        outputs: folders of runs and sweeps; all that use the artifacts.
        artifacts: folder of stored results; one that does not exist has none.
        checkouts: folders whose configurations and scripts may name artifacts.

    Raises:
        UserError: there are no configurations, so that what they need cannot be known.
    """
    if not any((checkout / "conf").is_dir() for checkout in checkouts):
        raise UserError(
            f"there is no conf/ in {' or '.join(map(str, checkouts))}, so what configurations need is not known; "
            "start this in the checkout"
        )
    runs = [run for folder in outputs for run in find_runs(folder, artifacts)]
    finder = _Finder(_find_artifacts(artifacts))
    by_user: dict[Path, frozenset[Artifact]] = {}
    without_keys = []
    for folder in (folder for run in runs for folder in run.folders):
        try:
            texts = {str(path.relative_to(folder)): finder.read(path) for path in _texts_of_run(folder)}
        except OSError as error:
            finder.unreadable.append(f"{folder} cannot be read ({error.strerror})")
            continue
        by_user[folder] = finder.reached_from(texts.values())
        if texts.get(_SUMMARY) and not _names_keys(texts[_SUMMARY]):  # it may need anything
            finder.unreadable.append(f"{folder / _SUMMARY} does not name the keys of its results")
        if not {_SUMMARY, KEYS_FILE, SWEEP_FILE} & set(texts) and not is_running(folder):
            without_keys.append(folder)
    for file in (file for checkout in checkouts for file in _files_that_may_refer(checkout)):
        if reached := finder.reached_from([finder.read(file)]):
            by_user[file] = reached
    unreadable = tuple(dict.fromkeys(finder.unreadable))
    return Inventory(finder.artifacts, tuple(runs), by_user, unreadable, tuple(without_keys))


def _find_artifacts(root: Path) -> Iterator[Artifact]:
    """Every artifact below a folder of artifacts, by stage and key; other files there do not count."""
    for folder in sorted(root.glob("*/*")):
        name = _FOLDER.fullmatch(folder.name)
        if name and folder.is_dir() and not folder.is_symlink() and not folder.parent.is_symlink():
            finished, half_deleted = (folder / "manifest.json").is_file(), name["trash"] is not None
            yield Artifact(folder.parent.name, name["key"], folder, extent(folder), finished, half_deleted)


def _files_that_may_refer(checkout: Path) -> list[Path]:
    """Configurations, experiments and scripts of a checkout, and what lies beside them."""
    folders = [(checkout / name).rglob("*") for name in ("conf", "experiments")]
    found = [*checkout.glob("*"), *(path for folder in folders for path in folder)]
    return sorted(path for path in found if path.suffix in _TEXTS and path.is_file())


def _texts_of_run(run: Path) -> list[Path]:
    """Everything small in a run's folder about its configuration and results."""
    found = list(run.iterdir())
    if (run / ".hydra").is_dir():
        found += (run / ".hydra").iterdir()
    return sorted(path for path in found if path.suffix in {".json", ".yaml"} and path.is_file())


def _names_keys(summary: str) -> bool:
    content = json.loads(summary)
    return isinstance(content, dict) and isinstance(content.get("keys"), dict)


class _Finder:
    """Reads files and follows keys from artifact to artifact."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self.artifacts = tuple(artifacts)
        self.unreadable: list[str] = []
        self._by_key: dict[str, list[Artifact]] = {}
        for artifact in self.artifacts:
            if not artifact.half_deleted:
                self._by_key.setdefault(artifact.key, []).append(artifact)
        self._parents: dict[Artifact, set[str]] = {}

    def read(self, path: Path) -> str:
        """The text of a file; of one that cannot be read, or is no JSON where it must be, none, with a note."""
        try:
            text = path.read_text(errors="replace")  # keys are ASCII
            if path.name in (_SUMMARY, "manifest.json"):
                json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            self.unreadable.append(f"{path} cannot be read ({first_line(error)})")
            return ""
        return text

    def reached_from(self, texts: Iterable[str]) -> frozenset[Artifact]:
        reached: set[Artifact] = set()
        waiting = {key for text in texts for key in _KEY.findall(text)}
        while waiting:
            found = [artifact for artifact in self._by_key.get(waiting.pop(), []) if artifact not in reached]
            reached |= set(found)
            waiting |= {key for artifact in found for key in self._parents_of(artifact)}
        return frozenset(reached)

    def _parents_of(self, artifact: Artifact) -> set[str]:
        """Keys of what an artifact was made from."""
        if artifact not in self._parents:
            text = self.read(artifact.folder / "manifest.json") if artifact.finished else ""
            self._parents[artifact] = set(_KEY.findall(text))
        return self._parents[artifact]


def delete(artifact: Artifact, hours: float) -> int:
    """Delete one artifact, unless a process has come to it meanwhile.

    It is moved aside before its files are deleted, so that no run ever finds half of it.

    Args:
        artifact: what to delete.
        hours: what was used since then is kept.

    Returns:
        The bytes that were freed; 0 when it was kept.
    """
    trash = artifact.folder.parent / f".deleted-{artifact.key}"
    if (lock := acquired(artifact.lock)) is None:
        return 0
    try:
        if not artifact.half_deleted:
            if time.time() - extent(artifact.folder).changed < hours * HOUR:
                return 0
            if trash.exists():
                shutil.rmtree(trash)
            artifact.folder.rename(trash)
        shutil.rmtree(trash)
        if not artifact.folder.exists():
            # Unlinked while it is held: whoever waits for it sees that it is gone.
            artifact.lock.unlink(missing_ok=True)
        return artifact.extent.bytes
    finally:
        lock.release()
