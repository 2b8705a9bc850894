"""Writes many files, several at a time, and none that is there as it was written."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from medsam_exp.curation.prepare.output_lock import CHECKSUMS, Claim
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.progress import stage_progress
from medsam_exp.types import UserError

_SHOWN = 10


@dataclass(frozen=True)
class Item:
    """Files that belong together.

    Attributes:
        names: relative to the prepared folder; the first one is always made, and is written last.
        make: gives their bytes by name, without those that this item does not have, in the order of writing.
    """

    names: tuple[str, ...]
    make: Callable[[], Mapping[str, bytes]]


@dataclass
class Written:
    """What became of all items.

    Attributes:
        checksums: SHA-256 (hex) by file, of what was there already, too.
        count: files written this time.
        faults: why an item could not be made, by its first name.
    """

    checksums: dict[str, str] = field(default_factory=dict)
    count: int = 0
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, one sentence each."""
        return tuple(f"left out: {fault}" for fault in dict.fromkeys(self.faults.values()))


def write_files(claim: Claim, items: Sequence[Item], skip_faulty: bool) -> Written:
    """Write what is not there yet.

    Files are compared with `checksums.sha256` once a preparation has finished. Before that, every file that is there
    was written whole by the same request.

    Raises:
        UserError: items cannot be made (all of them, or any unless `skip_faulty`); names the first ten.
    """
    known = _known_checksums(claim.out / CHECKSUMS)
    written = Written()
    with (
        stage_progress(claim.request.preparer, len(items)) as done,
        ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
    ):
        try:
            for item, result in zip(
                items, pool.map(lambda item: _write(claim.out, item, known), items), strict=True
            ):
                if isinstance(result, str):
                    written.faults[item.names[0]] = result
                else:
                    written.checksums |= result[0]
                    written.count += result[1]
                done(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if written.faults and (not skip_faulty or len(written.faults) == len(items)):
        raise _complaint(written.faults, len(items))
    return written


def _write(out: Path, item: Item, known: Mapping[str, str]) -> tuple[dict[str, str], int] | str:
    """Checksums of an item's files and how many were written now; or what is wrong with it."""
    there = _there(out, item, known)
    if there is not None:
        return there, 0
    try:
        contents = item.make()
    except UserError as error:
        return str(error)
    for name, content in contents.items():
        write_atomically(out / name, content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}, len(contents)


def _there(out: Path, item: Item, known: Mapping[str, str]) -> dict[str, str] | None:
    """Checksums of an item's files, where none has to be written."""
    first = item.names[0]
    if not (out / first).is_file() or (known and first not in known):
        return None
    found = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in item.names
        if (out / name).is_file()
    }
    expected = {name: known[name] for name in item.names if name in known} if known else found
    return found if found == expected else None


def _known_checksums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[1]: row[0] for row in rows if len(row) == 2}


def _complaint(faults: Mapping[str, str], count: int) -> UserError:
    told = list(dict.fromkeys(faults.values()))  # one damaged volume is the fault of all its slices
    shown = "; ".join(told[:_SHOWN])
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return UserError(
        f"{len(faults)} of {count} images cannot be used ({shown}{more}): mend them, or leave them out with "
        "--skip-faulty"
    )
