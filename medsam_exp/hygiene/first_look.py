"""A brief data check when a run first meets a dataset: a few lines of log, once per content, bounded in time.

A dataset of up to `FEW` images is checked as by `python -m medsam_exp.hygiene`, at some 15 ms an image. A larger one is
checked for what its names, tables and file hashes tell: the same file in several splits or classes, patients in
several splits, files without a partner. What was measured is kept, so the full check afterwards is quick.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Collection as Values
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medsam_exp.digests import FileDigests, text_digest, write_atomically
from medsam_exp.hygiene.copies import Copies
from medsam_exp.hygiene.examine import Examination, examine, examine_files
from medsam_exp.hygiene.finding import KINDS
from medsam_exp.hygiene.items import Collection
from medsam_exp.hygiene.layout import INDEX, find_collection, without
from medsam_exp.hygiene.measure import VERSION
from medsam_exp.hygiene.store import FactStore
from medsam_exp.hygiene.survey import Limits, Survey, survey
from medsam_exp.json_text import json_text

log = logging.getLogger(__name__)

FEW = 400
"""Images that are decoded at first use; some seconds."""
MOST_BYTES = 2_000_000_000
"""Of image files that are hashed at first use; some seconds."""
_PARTS = ("_images", "_masks", INDEX)
"""How the folders and the table of a dataset are called."""


def look_once(
    root: Path,
    artifacts: Path,
    digests: FileDigests,
    mask_values: Values[int] | None = None,
    exclude: str | Sequence[str] | None = None,
) -> None:
    """Check a folder of SPLIT_images and SPLIT_masks, unless its present content was checked before.

    It says what it finds in the log, and never stops a run: whatever goes wrong is a line of the log, too.

    Args:
        root: of the dataset.
        artifacts: folder of stored results; what was looked at is remembered below it.
        digests: content hashes of files.
        mask_values: values that count as foreground in masks of class labels; None for two-valued masks.
        exclude: images that are left out, as `data.exclude` names them.
    """
    folder = artifacts / "hygiene"
    try:
        record = folder / "seen" / f"{_fingerprint(root, mask_values, exclude)}.json"
        if record.is_file():
            return
        with _alone(record.with_suffix(".lock")) as free:
            if not free:  # another process looks at it now
                return
            lines = _look(root, folder, digests, mask_values, exclude)
            write_atomically(record, json_text({"root": str(root), "said": lines}, indent=1).encode())
    except Exception as error:  # a check is no reason for a run to fail
        log.warning("data check: %s could not be checked (%s: %s)", root, type(error).__name__, error)
        return
    for line in lines:
        log.warning("data check: %s", line)


def _fingerprint(root: Path, mask_values: Values[int] | None, exclude: str | Sequence[str] | None) -> str:
    """Changes with every file's name, size and time, and with what decides the findings."""
    listed = [str(root.resolve()), str(VERSION), str(mask_values)]
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


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process does this now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
        path.unlink(missing_ok=True)


def _look(
    root: Path,
    folder: Path,
    digests: FileDigests,
    mask_values: Values[int] | None,
    exclude: str | Sequence[str] | None,
) -> list[str]:
    collection = without(find_collection(root), exclude)
    images = [item for item in collection.items if item.image is not None]
    if len(images) <= FEW:
        store = FactStore(folder, digests, mask_values)
        return _sentences(examine(survey(collection, store, Limits())), "")
    found = examine_files(Survey(collection, {}), _same_files(collection, digests))
    return _sentences(found, f"{len(images)} images were compared by name and file only; ")


def _same_files(collection: Collection, digests: FileDigests) -> Copies:
    """Images whose files are the same byte by byte."""
    paths = {item.name: item.image for item in collection.items if item.image is not None}
    sizes: dict[int, list[str]] = defaultdict(list)
    for name, path in paths.items():
        sizes[path.stat().st_size].append(name)
    alike = {size: names for size, names in sizes.items() if len(names) > 1}
    if sum(size * len(names) for size, names in alike.items()) > MOST_BYTES:
        return Copies((), (), searched=False)
    same: dict[str, list[str]] = defaultdict(list)
    for names in alike.values():
        for name in names:
            same[digests.of(paths[name])].append(name)
    groups = (tuple(sorted(names)) for names in same.values() if len(names) > 1)
    return Copies(tuple(sorted(groups)), (), searched=False)


def _sentences(examination: Examination, scope: str) -> list[str]:
    """Errors and warnings by kind, one line each, and where the rest is; nothing where there is nothing to say."""
    lines = []
    for kind, findings in examination.by_kind().items():
        about = KINDS[kind]
        if about.severity != "note":
            first = findings[0].items[0] if findings[0].items else findings[0].message
            lines.append(f"{about.severity}: {about.title.lower()}: {len(findings)} (first: {first})")
    root = examination.survey.collection.root
    if lines or scope:
        lines.append(f"{scope}pictures, reasons and what mends it: python -m medsam_exp.hygiene {root}")
    return lines
