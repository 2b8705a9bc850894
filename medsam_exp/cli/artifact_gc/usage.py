"""What takes the space below `outputs/`: by stage, and by run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medsam_exp.cli.artifact_gc.unused import Artifact, Places, find_artifacts


@dataclass(frozen=True)
class StageUsage:
    """The stored results of one stage.

    Attributes:
        name: of the stage.
        count: keys.
        bytes: of all of them.
        unneeded_bytes: of those that no run or configuration names; locked and recent ones among them.
    """

    name: str
    count: int
    bytes: int
    unneeded_bytes: int


@dataclass(frozen=True)
class RunUsage:
    """What one run or sweep takes.

    Attributes:
        name: its path below the outputs.
        own_bytes: of its folder.
        used_bytes: of the stored results that it needs, which others may need too.
        alone_bytes: of those that nothing else needs, so that they could go with the run.
    """

    name: str
    own_bytes: int
    used_bytes: int
    alone_bytes: int


@dataclass(frozen=True)
class Usage:
    """All of it.

    Attributes:
        stages: the largest first.
        runs: the largest first, by their own files and what they alone need.
        unreadable: files that should name results and cannot be read, so that "not needed" cannot be trusted.
    """

    stages: tuple[StageUsage, ...]
    runs: tuple[RunUsage, ...]
    unreadable: tuple[str, ...]


def usage(places: Places) -> Usage:
    """Measure all stored results and runs."""
    artifacts, runs = find_artifacts(places.artifacts), places.runs()
    references = places.references(artifacts, runs)
    stages = [
        _stage(name, [artifact for artifact in artifacts if artifact.stage == name], references.needed)
        for name in sorted({artifact.stage for artifact in artifacts})
    ]
    by_run = []
    for run in runs:
        used = frozenset().union(*(references.by_user.get(folder, frozenset()) for folder in run.folders))
        alone = used - references.needed_by_others(run.folders)
        by_run.append(RunUsage(run.name, run.extent.bytes, _bytes(used), _bytes(alone)))
    return Usage(
        tuple(sorted(stages, key=lambda stage: -stage.bytes)),
        tuple(sorted(by_run, key=lambda run: -(run.own_bytes + run.alone_bytes))),
        references.unreadable,
    )


def _stage(name: str, own: Sequence[Artifact], needed: frozenset[Artifact]) -> StageUsage:
    return StageUsage(name, len(own), _bytes(own), _bytes(each for each in own if each not in needed))


def _bytes(artifacts: Iterable[Artifact]) -> int:
    return sum(artifact.extent.bytes for artifact in artifacts)
