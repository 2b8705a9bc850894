"""The file of a shard: its table, its checksums, how it is filled in memory and written whole."""

import errno
import os
import secrets
import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from medsam_exp.runtime.temporary_files import filled_beside

SUFFIX = ".records"
FULL_AT_RECORDS = 4096
_FULL_AT_BYTES = 64 * 2**20
_SECONDS_UNWRITTEN = 2.0
"""What a killed process may lose, where a disk takes a shard in a tenth of a second or less."""
_SHARE_OF_TIME = 0.05
"""That writing the same shard again may take, as a disk must have taken it each time."""
COLUMNS = ("info", "array", "maps")
_CHECKS = struct.Struct("<3I")
"""A checksum of each of these columns."""
_TABLE = (
    "CREATE TABLE records (sample TEXT NOT NULL, digest TEXT NOT NULL, checks BLOB NOT NULL, info BLOB NOT NULL, "
    "array BLOB, maps BLOB, PRIMARY KEY (sample, digest))"
)
"""Checksums stand before what may be long, so that they are read without it."""


def _new_name(folder: Path) -> str:
    """Nobody else's, and after those of before, also where the clock has gone back since."""
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208  # of thousands
    times = (
        int(time) for time, dash, _ in (name.partition("-") for name in names) if dash and time.isdecimal()
    )
    return f"{max(time.time_ns(), 1 + max(times, default=0)):019d}-{secrets.token_hex(4)}{SUFFIX}"


def checks_of(sample: str, digest: str, values: Sequence[bytes | None]) -> bytes:
    """The checksums of a record's columns, as they are stored."""
    return _CHECKS.pack(*(check_of(sample, digest, value) for value in values))


def checks_in(stored: bytes) -> tuple[int, ...]:
    """The checksums of a record by column, as `check_of` gives them."""
    return _CHECKS.unpack(stored)


def check_of(sample: str, digest: str, value: bytes | None) -> int:
    """CRC-32 of one column's value and the record's names."""
    return zlib.crc32(value or b"", zlib.crc32(f"{sample}\0{digest}".encode()))


def address(path: str | Path, options: str) -> str:
    """A path as SQLite takes it; one that begins with two slashes is no name of a machine."""
    return f"file://{quote(bytes(Path(path).absolute()))}?{options}"


class FilledShard:
    """A shard that is being filled in memory.

    Args:
        path: of the file.

    Attributes:
        records: that were added.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records = self._bytes = 0
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute(_TABLE)

    def add(self, sample: str, digest: str, info: bytes, array: bytes | None, maps: bytes | None) -> None:
        """Add a record, or put it in the place of the one with its names."""
        self._database.execute(
            "REPLACE INTO records (sample, digest, checks, info, array, maps) VALUES (?, ?, ?, ?, ?, ?)",
            (sample, digest, checks_of(sample, digest, (info, array, maps)), info, array, maps),
        )
        self.records += 1
        self._bytes += len(info) + len(array or b"") + len(maps or b"")

    @property
    def is_full(self) -> bool:
        """Whether the next record should begin another shard."""
        return self.records >= FULL_AT_RECORDS or self._bytes >= _FULL_AT_BYTES

    def write(self) -> None:
        """Write all records added so far, in the place of those written before.

        Raises:
            OSError: such as of a full disk.
        """
        with filled_beside(self._path, durable=True) as temporary:
            # Nobody else knows this file, so it needs neither locks nor a journal.
            target = sqlite3.connect(address(temporary, "nolock=1"), uri=True)
            try:
                target.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
                self._database.backup(target)
            except sqlite3.OperationalError as error:
                full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
                number = errno.ENOSPC if full else self._refused_with(temporary)
                raise OSError(number, str(error), str(self._path)) from error
            finally:
                target.close()

    def _refused_with(self, temporary: Path) -> int:
        """What the system says to a file of this size, which SQLite does not pass on."""
        (pages,), (size,) = (
            self._database.execute(f"PRAGMA page_{of}").fetchone() for of in ("count", "size")
        )
        try:
            with temporary.open("r+b", buffering=0) as file:
                file.seek(pages * size - 1)
                file.write(b"\0")
        except OSError as error:
            return error.errno or errno.EIO
        return errno.EIO

    def close(self) -> None:
        """Give the memory back."""
        self._database.close()


class ShardWriter:
    """Adds records to a folder, on any number of threads.

    Args:
        folder: is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._gathers = False
        self._filled: FilledShard | None = None
        self._due_at = _SECONDS_UNWRITTEN
        self._later: threading.Timer | None = None

    def add(self, sample: str, digest: str, info: bytes, array: bytes | None, maps: bytes | None) -> None:
        """Add a record, or put it in the place of the one with its names; written now, unless they are gathered."""
        with self._lock:
            if self._filled is None:
                self._filled = FilledShard(self._folder / _new_name(self._folder))
            self._filled.add(sample, digest, info, array, maps)
            if not self._gathers or self._filled.is_full:
                self._finish()
            elif time.monotonic() >= self._due_at:
                self._write()
            elif self._later is None:  # the next record may be long in coming
                self._later = threading.Timer(self._due_at - time.monotonic(), self._write_what_waits)
                self._later.daemon = True
                self._later.start()

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Write records many at a time within a block: when a shard is full, every few seconds, and at the end."""
        self._gathers = True
        try:
            yield
        finally:
            with self._lock:
                self._gathers = False
                self._finish()

    def _write_what_waits(self) -> None:
        with self._lock, suppress(OSError):  # the next record meets the same error
            if self._later is threading.current_thread():
                self._write()

    def _write(self) -> None:
        """Write what is filled so far; the caller holds the lock."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._filled is not None:
            started = time.monotonic()
            self._filled.write()
            ended = time.monotonic()
            self._due_at = ended + max(_SECONDS_UNWRITTEN, (ended - started) / _SHARE_OF_TIME)

    def _finish(self) -> None:
        self._write()
        if self._filled is not None:
            self._filled.close()
            self._filled = None
