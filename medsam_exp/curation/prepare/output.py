"""The folder that one preparation writes: locked, recorded, and filled with files that appear whole or not at all.

`preparing.json` says what was asked for, `prepared.json` that all is there, `checksums.sha256` what was written.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medsam_exp.runtime.console import stage_progress
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.locks import waiting_lock
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

_FINISHED, _STARTED = "prepared.json", "preparing.json"
_CHECKSUMS = "checksums.sha256"
_LOCK = ".preparing.lock"
_FORMAT = 1  # of prepared.json
_HALF_WRITTEN = re.compile(
    r"\..+\.(png|jpg|json|csv|sha256)\.([0-9a-f]{8}-\d+\.)?[a-z0-9_]{8}"
)  # what a killed process leaves


@dataclass(frozen=True)
class SourceFacts:
    """What was read: equal for a folder and for the zip that holds the same files."""

    files: int
    bytes: int  # their size together
    digest: str  # SHA-256 (hex) over names, sizes and checksums of all files


@dataclass(frozen=True)
class Request:
    """Everything that decides what is written; the same request gives the same bytes."""

    preparer: str  # name of the command
    version: int  # of the preparer's own code; raised when it writes something else
    rule: str  # how images were chosen and split, in words
    source: SourceFacts
    licence: str  # what the publishers allow, in words
    options: Mapping[str, Any] = field(default_factory=dict)  # what was asked for on the command line

    def as_json(self) -> dict[str, Any]:
        """The request as `prepared.json` stores it, without the results."""
        return {"format": _FORMAT, **json.loads(json_text(asdict(self)))}


Items = Mapping[tuple[str, ...], Callable[[], Mapping[str, bytes]]]
"""By the names of files that belong together, relative to the prepared folder, what gives their bytes by name, without
those that are not there, in the order of writing; the first file is always made, and is written last."""
Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Prepared:
    """What a preparation gave."""

    out: Path
    counts: Counts  # images by split and class; or pairs by table
    written: int  # files written this time; 0 where everything was there
    notes: tuple[str, ...]  # what was merged, dropped or found odd, one sentence each


def write_prepared(
    out: Path,
    request: Request,
    folders: Sequence[str],
    items: Items,
    tables: Callable[[Mapping[str, str]], tuple[Mapping[str, str], Counts]],
    notes: Iterable[str] = (),
    *,
    skip_faulty: bool = False,
) -> Prepared:
    """Write what is missing or was changed, then tables, checksums and `prepared.json`, which marks the end.

    Args:
        out: a new or empty folder, or one that the same request began or finished; locked meanwhile.
        request: what decides its content.
        folders: of the images, relative to `out`; they may hold nothing else.
        items: all images.
        tables: given the faults by the first name of each item that was left out, gives the text of every table by
            its name, and the counts.
        notes: for `prepared.json`.
        skip_faulty: leave out items that cannot be made and say so, instead of stopping.

    Raises:
        UserError: the folder holds something else, or items cannot be made (all of them, or any unless
            `skip_faulty`); names the first ten.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a folder to write to")
    _refuse_foreign(out, request)
    out.mkdir(parents=True, exist_ok=True)
    with waiting_lock(out / _LOCK, f"waiting for another process that prepares {out}"):
        _refuse_foreign(out, request)
        _refuse_strangers(out, folders, {name for names in items for name in names})
        for left in [path for path in out.rglob(".*") if _HALF_WRITTEN.fullmatch(path.name)]:
            left.unlink()
        if not (out / _FINISHED).is_file():
            write_atomically(out / _STARTED, _json(request.as_json()))
        checksums, written, faults = _write_all(out, request.preparer, items)
        if faults and (not skip_faulty or len(faults) == len(items)):
            told = dict.fromkeys(faults.values())  # one damaged volume is the fault of all its slices
            raise UserError(
                f"{len(faults)} of {len(items)} images cannot be used ({first_few(told, separator='; ')}): mend them, "
                "or leave them out with --skip-faulty"
            )
        texts, counts = tables(faults)
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(checksums.items()))
        for name, text in {**texts, _CHECKSUMS: lines}.items():
            write_atomically(out / name, text.encode())
        said = (*notes, *(f"left out: {fault}" for fault in dict.fromkeys(faults.values())))
        write_atomically(out / _FINISHED, _json({**request.as_json(), "counts": counts, "notes": said}))
        (out / _STARTED).unlink(missing_ok=True)
    return Prepared(out, counts, written, said)


def _refuse_strangers(out: Path, folders: Sequence[str], expected: set[str]) -> None:
    there = [path for folder in folders for path in (out / folder).glob("*")]
    names = {path.relative_to(out).as_posix() for path in there if not path.name.startswith(".")}
    if unexpected := sorted(names - expected):
        raise UserError(
            f"{out} holds files that this preparation does not write ({first_few(unexpected, 3)}): "
            "remove them, or give another folder"
        )


def _refuse_foreign(out: Path, request: Request) -> None:
    marker = next((out / name for name in (_FINISHED, _STARTED) if (out / name).is_file()), None)
    if marker is None:
        if there := sorted(path.name for path in out.glob("*") if not path.name.startswith(".")):
            raise UserError(
                f"{out} is not empty ({', '.join(there[:3])}) and was not prepared by this command: give a new folder"
            )
        return
    try:
        before = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{marker} cannot be read ({error}): delete {out} and prepare it again") from error
    now = request.as_json()
    differing = [_difference(key, before.get(key), now[key]) for key in now if before.get(key) != now[key]]
    if differing:
        raise UserError(
            f"{out} was prepared otherwise ({'; '.join(differing)}): give a new folder, or delete that one first"
        )


def _difference(key: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict) and key == "options":
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return ", ".join(f"{name} was {before.get(name)}, now {now.get(name)}" for name in names)
    if key == "source":
        return "the download has other files or other bytes"
    return f"{key} was {before}, now {now}"


def _json(content: Mapping[str, Any]) -> bytes:
    return (json_text(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write_all(out: Path, shown: str, items: Items) -> tuple[dict[str, str], int, dict[str, str]]:
    """Checksums by file, of what was there already too; number of files written now; faults by first name.

    Files are compared with `checksums.sha256` once a preparation has finished. Before that, every file that is there
    was written completely by the same request.
    """
    known = _known_checksums(out / _CHECKSUMS)
    checksums, count, faults = dict[str, str](), 0, dict[str, str]()
    results = map_in_threads(lambda names: _write(out, names, items[names], known), items)
    with stage_progress(shown, len(items)) as done, closing(results):
        for names, result in zip(items, results, strict=True):
            if isinstance(result, str):
                faults[names[0]] = result
            else:
                checksums |= result[0]
                count += result[1]
            done(1)
    return checksums, count, faults


def _write(
    out: Path, names: tuple[str, ...], make: Callable[[], Mapping[str, bytes]], known: Mapping[str, str]
) -> tuple[dict[str, str], int] | str:
    """Checksums of the files and how many were written now; or why they cannot be made."""
    there = {name: _sha256((out / name).read_bytes()) for name in names if (out / name).is_file()}
    expected = {name: known[name] for name in names if name in known} if known else there
    if names[0] in expected and there == expected:
        return there, 0
    try:
        contents = make()
    except UserError as error:
        return str(error)
    for name, content in contents.items():
        write_atomically(out / name, content)
    return {name: _sha256(content) for name, content in contents.items()}, len(contents)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _known_checksums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[1]: row[0] for row in rows if len(row) == 2}
