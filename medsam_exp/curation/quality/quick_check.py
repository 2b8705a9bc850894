"""A brief data check when a run first meets a dataset: a few lines of log, once per content, bounded in time.

Leaks between splits are remembered and said in every run, for its summary, and forbid a training on true masks.

A dataset of up to 400 images is checked as by `medsam-exp data-check`, at some 15 ms an image. A larger one is
checked for what its names, tables and file hashes tell: the same file in several splits or classes, patients in
several splits, files without a partner. What was measured is kept, so the full check afterwards is quick.
"""

import logging
import os
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig
from pydantic import TypeAdapter

from medsam_exp.config.auxiliary_images import label_source
from medsam_exp.curation.quality.checks import Examination, examine
from medsam_exp.curation.quality.duplicates import Duplicates, find_duplicates
from medsam_exp.curation.quality.facts import DatasetListing, Limits, MeasuredDataset
from medsam_exp.curation.quality.finding import KINDS, Finding
from medsam_exp.curation.quality.layout import find_collection, without
from medsam_exp.curation.quality.measure import VERSION, FactStore, measure_dataset
from medsam_exp.data.patients import INDEX
from medsam_exp.engine.leakage import datasets_of
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests, sealed, text_digest, unsealed, write_atomically
from medsam_exp.runtime.locks import waiting_lock
from medsam_exp.runtime.wording import joined_with_and
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import FolderSplit, UserError

log = logging.getLogger(__name__)

_LEAKS = ("identical_across_splits", "near_across_splits", "group_across_splits")
"""Kinds of findings by which a test split is not what it claims to be."""
_FEW = 400  # images that are decoded at first use; some seconds
_MOST_BYTES = 2_000_000_000  # of image files that are hashed at first use; some seconds
_WAIT = 60.0  # seconds for another process that looks at the same dataset
_PARTS = ("_images", "_masks", INDEX)
"""How the folders and the table of a dataset are called."""


@dataclass(frozen=True)
class Leak:
    """What several splits share."""

    said: str  # in words, with how often and the first image
    splits: tuple[str, ...]  # that share it


_STORED = TypeAdapter(tuple[Leak, ...])


def _check_once(split: FolderSplit, artifacts: Path, digests: FileDigests) -> tuple[Leak, ...]:
    """Check a dataset, unless its present content was checked before; its leaks.

    It says in the log what it finds, leaks each time, and never fails: whatever goes wrong is a line of the log, too.
    """
    folder = artifacts / "data_quality"
    try:
        record = folder / "seen" / f"{_fingerprint(split)}.json"
        known, lines = _read(record), list[str]()
        if known is None:
            lock = record.with_suffix(".lock")
            with waiting_lock(lock, "", _WAIT):
                known = _read(record)  # another process may have looked meanwhile
                if known is None:
                    known, lines = _look(split, folder, digests)
                    content = {
                        "root": str(split.root),
                        "lines": lines,
                        "leaks": [asdict(leak) for leak in known],
                    }
                    write_atomically(record, sealed(content))
                lock.unlink(missing_ok=True)  # whoever waits for it finds the record
    except TimeoutError:
        log.warning("data check: another process still looks at %s; its leaks are not known", split.root)
        return ()
    except Exception as error:  # a check is no reason for a run to fail
        log.warning("data check: %s could not be checked (%s: %s)", split.root, type(error).__name__, error)
        return ()
    for line in (*(f"error: {leak.said}" for leak in known), *lines):
        log.warning("data check: %s", line)
    return known


def _read(record: Path) -> tuple[Leak, ...] | None:
    """Leaks that an earlier check found; None without one, or where its record is damaged."""
    try:
        return _STORED.validate_python(unsealed(record)["leaks"])
    except (ValueError, KeyError, TypeError):
        return None


def _fingerprint(split: FolderSplit) -> str:
    """Changes with every file's name, size and time, and with what decides the findings."""
    root, exclude = split.root, split.exclude
    listed = [str(root.resolve()), str(VERSION), str(split.foreground_values), str(split.patient_pattern)]
    if isinstance(exclude, str):
        places = [path for path in (Path(exclude), root / exclude) if path.is_file()]
        listed += [path.read_text(errors="replace") for path in places[:1]]
    else:
        listed.append(str(exclude))
    parts = [path for path in sorted(root.iterdir()) if path.name.endswith(_PARTS)]
    for part in parts:
        for above, folders, files in os.walk(part) if part.is_dir() else [(str(root), [], [part.name])]:
            folders.sort()
            for name in sorted(files):
                status = os.stat(os.path.join(above, name))  # noqa: PTH116, PTH118  # thousands of files
                listed.append(f"{above} {name} {status.st_size} {status.st_mtime_ns}")
    return text_digest(*listed)[:32]


def _look(split: FolderSplit, folder: Path, digests: FileDigests) -> tuple[tuple[Leak, ...], list[str]]:
    """Leaks; and errors and warnings except leaks, a line a kind, with the command of the full check."""
    listing = without(find_collection(split.root, split.patient_pattern), split.exclude)
    count = sum(item.image is not None for item in listing.items)
    if count <= _FEW:
        dataset = measure_dataset(listing, FactStore(folder, digests, split.foreground_values), Limits())
        examination, scope = examine(dataset, find_duplicates(dataset.images)), ""
    else:
        examination = examine(MeasuredDataset(listing, {}), _same_files(listing, digests))
        scope = f"{count} images were compared by name and file only; "
    lines = []
    kinds = examination.by_kind()
    for kind, findings in kinds.items():
        about = KINDS[kind]
        if about.severity != "note" and kind not in _LEAKS:
            said = f"{about.severity}: {about.title.lower()}: {len(findings)} (first: {findings[0].example})"
            lines.append(said)
    if lines or scope or kinds.keys() & set(_LEAKS):
        lines.append(f"{scope}pictures, reasons and what mends it: {_full_check(split)}")
    return tuple(_leaks(examination)), lines


def _same_files(listing: DatasetListing, digests: FileDigests) -> Duplicates:
    """Images whose files are the same byte by byte."""
    paths = {item.name: item.image for item in listing.items if item.image is not None}
    sizes: dict[int, list[str]] = defaultdict(list)
    for name, path in paths.items():
        sizes[path.stat().st_size].append(name)
    alike = {size: names for size, names in sizes.items() if len(names) > 1}
    if sum(size * len(names) for size, names in alike.items()) > _MOST_BYTES:
        return Duplicates((), (), searched=False)
    same: dict[str, list[str]] = defaultdict(list)
    for names in alike.values():
        for name in names:
            same[digests.of(paths[name])].append(name)
    groups = (tuple(sorted(names)) for names in same.values() if len(names) > 1)
    return Duplicates(tuple(sorted(groups)), (), searched=False)


def _full_check(split: FolderSplit) -> str:
    """The command of the full data check."""
    pattern = split.patient_pattern
    return (
        f"medsam-exp data-check {split.root}{'' if pattern is None else f' --group {shlex.quote(pattern)}'}"
    )


def _leaks(examination: Examination) -> Iterator[Leak]:
    """What splits share, by kind and splits."""
    by_name = examination.dataset.by_name
    found: dict[tuple[str, tuple[str, ...]], list[Finding]] = defaultdict(list)
    for finding in examination.findings:
        if finding.kind in _LEAKS:
            splits = tuple(sorted({by_name[name].split for name in finding.items} - {""}))
            found[finding.kind, splits].append(finding)
    for (kind, splits), findings in found.items():
        title = KINDS[kind].title.lower().replace("several splits", joined_with_and(splits))
        yield Leak(f"{title}: {len(findings)} (first: {findings[0].items[0]})", splits)


def find_leaks(cfg: DictConfig, plan: Plan, digests: FileDigests) -> dict[Path, tuple[Leak, ...]]:
    """Check the run's folders for leaks between their splits.

    Args:
        cfg: a checked configuration.
        plan: of the run, with all its datasets.
        digests: content hashes of files.

    Returns:
        Leaks by the dataset's root.
    """
    found: dict[Path, tuple[Leak, ...]] = {}
    for dataset in datasets_of(plan).values():
        if isinstance(dataset, FolderSplit) and dataset.root not in found:
            found[dataset.root] = _check_once(dataset, Path(cfg.paths.artifacts), digests)
    return found


def leak_notes(cfg: DictConfig, leaks: Mapping[Path, tuple[Leak, ...]]) -> list[str]:
    """Notes for the summary of each run.

    Args:
        cfg: a checked configuration.
        leaks: by the dataset's root.
    """
    notes = [f"data check: {leak.said}, in {root}" for root, found in leaks.items() for leak in found]
    return [*notes, "allow_leaks=true: these did not stop a training"] if notes and cfg.allow_leaks else notes


def refuse_leaky_training(cfg: DictConfig, plan: Plan, leaks: Mapping[Path, tuple[Leak, ...]]) -> None:
    """Stop before a training on true masks of a split that shares patients or duplicates with another one.

    Args:
        cfg: a checked configuration.
        plan: with all stages planned.
        leaks: what the data check found, by the dataset's root.

    Raises:
        UserError: there is such a leak, and `allow_leaks` is false.
    """
    for name in plan.artifacts:
        if cfg.allow_leaks or STAGES[name].auxiliary != "train_data" or not _on_masks(cfg, name):
            continue
        trained = plan.auxiliary(name).dataset
        if not isinstance(trained, FolderSplit):
            continue
        root = trained.root
        found = [leak for leak in leaks.get(root, ()) if trained.split in leak.splits]
        scored = plan.dataset
        if isinstance(scored, FolderSplit) and scored.root == root:  # a leak elsewhere may wait
            found = [leak for leak in found if scored.split in leak.splits]
        if found:
            raise UserError(
                f"{name} would train on {root} ({trained.split}), but the data check found "
                f"{'; '.join(leak.said for leak in found)}: {_full_check(trained)} shows "
                "them and writes exclude.csv for data.exclude and groups.csv to split anew, or allow it with "
                "allow_leaks=true"
            )


def _on_masks(cfg: DictConfig, stage: str) -> bool:
    """Whether a stage that makes or trains on labels takes masks that others than this method drew."""
    return stage not in cfg or label_source(cfg, stage) != "zero_shot"
