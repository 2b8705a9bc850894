"""The folder that one preparation writes: locked, recorded, and filled with files that appear whole or not at all.

`preparing.json` says what was asked for, `prepared.json` that all is there, `checksums.sha256` what was written.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
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

FINISHED, STARTED = "prepared.json", "preparing.json"
CHECKSUMS = "checksums.sha256"
LOCK = ".preparing.lock"
_FORMAT = 1  # of prepared.json
_HALF_WRITTEN = re.compile(r"\..+\.(png|jpg|json|csv|sha256)\.[a-z0-9_]{8}")  # what a killed process leaves


@dataclass(frozen=True)
class SourceFacts:
    """What was read: equal for a folder and for the zip that holds the same files.

    Attributes:
        files: number of files.
        bytes: their size together.
        digest: SHA-256 (hex) over names, sizes and checksums of all files.
    """

    files: int
    bytes: int
    digest: str


@dataclass(frozen=True)
class Request:
    """Everything that decides what is written; the same request gives the same bytes.

    Attributes:
        preparer: name of the command.
        version: of the preparer's own code; raised when it writes something else.
        rule: how images were chosen and split, in words.
        options: what was asked for on the command line.
        source: what is read.
        licence: what the publishers allow, in words.
    """

    preparer: str
    version: int
    rule: str
    source: SourceFacts
    licence: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The request as `prepared.json` stores it, without the results."""
        return {"format": _FORMAT, **json.loads(json_text(asdict(self)))}


@contextmanager
def locked_output(out: Path, request: Request) -> Iterator["OutputFolder"]:
    """Lock a folder for one preparation: new, empty, or begun or finished by the same request.

    Args:
        out: the folder.
        request: what decides its content.

    Raises:
        UserError: the folder holds something else; names it.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a folder to write to")
    _refuse_foreign(out, request)
    out.mkdir(parents=True, exist_ok=True)
    with waiting_lock(out / LOCK, f"waiting for another process that prepares {out}"):
        _refuse_foreign(out, request)
        for left in [path for path in out.rglob(".*") if _HALF_WRITTEN.fullmatch(path.name)]:
            left.unlink()
        finished = (out / FINISHED).is_file()
        if not finished:
            write_atomically(out / STARTED, _json(request.as_json()))
        yield OutputFolder(out, request)


@dataclass(frozen=True)
class OutputFolder:
    """A prepared folder while it is locked.

    Attributes:
        out: the folder.
        request: what decides its content.
    """

    out: Path
    request: Request

    def finish(self, results: Mapping[str, Any], checksums: Mapping[str, str]) -> None:
        """Write the checksums of all files, then `prepared.json`, which marks the folder as complete.

        Args:
            results: stored with the request.
            checksums: SHA-256 (hex) by file.
        """
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(checksums.items()))
        write_atomically(self.out / CHECKSUMS, lines.encode())
        write_atomically(self.out / FINISHED, _json({**self.request.as_json(), **results}))
        (self.out / STARTED).unlink(missing_ok=True)


def read_prepared(out: Path) -> dict[str, Any] | None:
    """Content of `prepared.json`; None where no preparation has finished.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return dict(json.loads((out / FINISHED).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{out / FINISHED} cannot be read ({error}): delete the folder and prepare it again"
        ) from error


def refuse_unexpected_files(out: Path, folders: Sequence[str], expected: set[str]) -> None:
    """Refuse files in a preparation's folders that it does not write.

    Args:
        out: the prepared folder.
        folders: the folders that belong to the preparation, relative to it.
        expected: files that may be there, relative to it, with /.

    Raises:
        UserError: names the first few.
    """
    there = [path for folder in folders for path in (out / folder).glob("*")]
    names = {path.relative_to(out).as_posix() for path in there if not path.name.startswith(".")}
    if unexpected := sorted(names - expected):
        raise UserError(
            f"{out} holds files that this preparation does not write ({first_few(unexpected, 3)}): "
            "remove them, or give another folder"
        )


def _refuse_foreign(out: Path, request: Request) -> None:
    marker = next((out / name for name in (FINISHED, STARTED) if (out / name).is_file()), None)
    if marker is None:
        there = sorted(path.name for path in out.glob("*") if not path.name.startswith("."))
        if there:
            raise UserError(
                f"{out} is not empty ({', '.join(there[:3])}) and was not prepared by this command: give a new folder"
            )
        return
    try:
        before = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
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


@dataclass(frozen=True)
class OutputItem:
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


def write_files(output: OutputFolder, items: Sequence[OutputItem], skip_faulty: bool) -> Written:
    """Write files that are missing or were changed.

    Files are compared with `checksums.sha256` once a preparation has finished. Before that, every file that is there
    was written completely by the same request.

    Args:
        output: the locked folder.
        items: what to write.
        skip_faulty: leave out items that cannot be made.

    Raises:
        UserError: items cannot be made (all of them, or any unless `skip_faulty`); names the first ten.
    """
    known = _known_checksums(output.out / CHECKSUMS)
    written = Written()
    results = map_in_threads(lambda item: _write(output.out, item, known), items)
    with stage_progress(output.request.preparer, len(items)) as done, closing(results):
        for item, result in zip(items, results, strict=True):
            if isinstance(result, str):
                written.faults[item.names[0]] = result
            else:
                written.checksums |= result[0]
                written.count += result[1]
            done(1)
    if written.faults and (not skip_faulty or len(written.faults) == len(items)):
        raise _complaint(written.faults, len(items))
    return written


def _write(out: Path, item: OutputItem, known: Mapping[str, str]) -> tuple[dict[str, str], int] | str:
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


def _there(out: Path, item: OutputItem, known: Mapping[str, str]) -> dict[str, str] | None:
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
    return UserError(
        f"{len(faults)} of {count} images cannot be used ({first_few(told, separator='; ')}): mend them, or leave them "
        "out with --skip-faulty"
    )
