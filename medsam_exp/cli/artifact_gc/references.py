"""Which stored results are needed: by the runs, by configurations that name their folders, by other results.

A key is found wherever it is written: in a run's summary, in the list of keys that a run begins with, in its
configuration (a network that was trained before), in a tuned file, in a script. What is needed needs its parents too.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.cli.artifact_gc.artifacts import Artifact
from medsam_exp.runtime.run_status import KEYS_FILE
from medsam_exp.sweep.files import SWEEP_FILE

_KEY = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_TEXTS = {".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}


@dataclass(frozen=True)
class References:
    """Who needs what.

    Attributes:
        by_user: artifacts that a run's folder or a file needs, what these need included.
        unreadable: one sentence for each file that should name artifacts and cannot be read.
        silent: runs that neither ended nor said what they use.
    """

    by_user: Mapping[Path, frozenset[Artifact]]
    unreadable: tuple[str, ...]
    silent: tuple[Path, ...]

    @property
    def needed(self) -> frozenset[Artifact]:
        """Everything that somebody needs."""
        return frozenset().union(*self.by_user.values())

    def needed_by_others(self, users: Iterable[Path]) -> frozenset[Artifact]:
        """What would still be needed without some users."""
        gone = set(users)
        return frozenset().union(*(own for user, own in self.by_user.items() if user not in gone))


def find_references(artifacts: Iterable[Artifact], runs: Iterable[Path], files: Iterable[Path]) -> References:
    """Find out who needs what.

    Args:
        artifacts: all there are.
        runs: folders of runs and sweeps.
        files: further files that may name artifacts.
    """
    finder = _Finder(artifacts)
    by_user: dict[Path, frozenset[Artifact]] = {}
    silent = []
    for run in runs:
        try:
            texts = _texts_of_run(run)
        except OSError as error:
            finder.unreadable.append(f"{run} cannot be read ({error.strerror})")
            continue
        by_user[run] = finder.needed_by([finder.read(path) for path in texts])
        finder.check_summary(run / "summary.json")
        if not {"summary.json", KEYS_FILE, SWEEP_FILE} & {path.name for path in texts}:
            silent.append(run)
    for file in files:
        if needed := finder.needed_by([finder.read(file)]):
            by_user[file] = needed
    return References(by_user, tuple(dict.fromkeys(finder.unreadable)), tuple(silent))


def files_that_may_refer(top: Path) -> list[Path]:
    """Configurations, experiments and scripts of a checkout, and what lies beside them."""
    folders = [(top / name).rglob("*") for name in ("conf", "experiments")]
    found = [*top.glob("*"), *(path for folder in folders for path in folder)]
    return sorted(path for path in found if path.suffix in _TEXTS and path.is_file())


class _Finder:
    """Reads files and follows keys from result to result."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self._by_key: dict[str, list[Artifact]] = {}
        for artifact in artifacts:
            if not artifact.left_over:
                self._by_key.setdefault(artifact.key, []).append(artifact)
        self._parents: dict[Artifact, set[str]] = {}
        self.unreadable: list[str] = []

    def read(self, path: Path) -> str:
        try:
            return path.read_text(errors="replace")  # keys are plain letters
        except OSError as error:
            self.unreadable.append(f"{path} cannot be read ({_reason(error)})")
            return ""

    def check_summary(self, path: Path) -> None:
        """A summary that is there must name its keys, else it may need anything."""
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            self.unreadable.append(f"{path} cannot be read ({_reason(error)})")
            return
        if not isinstance(content, dict) or not isinstance(content.get("keys"), dict):
            self.unreadable.append(f"{path} does not name the keys of its results")

    def needed_by(self, texts: Iterable[str]) -> frozenset[Artifact]:
        needed: set[Artifact] = set()
        waiting = {key for text in texts for key in _KEY.findall(text)}
        while waiting:
            found = [artifact for artifact in self._by_key.get(waiting.pop(), []) if artifact not in needed]
            needed |= set(found)
            waiting |= {key for artifact in found for key in self._keys_in(artifact)}
        return frozenset(needed)

    def _keys_in(self, artifact: Artifact) -> set[str]:
        """Keys of what an artifact was made from."""
        if artifact not in self._parents:
            text = self.read(artifact.manifest) if artifact.finished else ""
            if artifact.finished and not _is_json(text):
                self.unreadable.append(f"{artifact.manifest} cannot be read (no JSON)")
            self._parents[artifact] = set(_KEY.findall(text))
        return self._parents[artifact]


def _texts_of_run(run: Path) -> list[Path]:
    """Everything small that a run's folder says of its configuration and results.

    Raises:
        OSError: it cannot be looked into, or is not there.
    """
    found = list(run.iterdir())
    if (run / ".hydra").is_dir():
        found += (run / ".hydra").iterdir()
    return sorted(path for path in found if path.suffix in {".json", ".yaml"} and path.is_file())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]
