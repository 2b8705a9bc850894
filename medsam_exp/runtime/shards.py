"""Records in few files: SQLite databases that are written whole and never changed in place, called shards.

A writer gathers records in memory and writes them as a shard of its own, atomically, again and again until it is full;
then it begins the next. So nobody ever sees half a record, no two processes write one file, and readers need no lock:
this holds on network file systems, too, and where nothing may be written.
"""

import errno
import os
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from medsam_exp.runtime.digests import replaced_atomically
from medsam_exp.runtime.errors import UserError

_SUFFIX = ".records"
_FULL_AT_RECORDS = 4096
_FULL_AT_BYTES = 64 * 2**20
_SECONDS_UNWRITTEN = 2.0
"""What a killed process may lose."""
_OPEN_SHARDS = 16
"""For each thread that reads."""
_PAGES_KIB = 256
"""Of an open shard in memory: records are read once."""
_NOT_NOW = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
"""What SQLite says of a file that is whole, as far as is known."""
_TABLE = (
    "CREATE TABLE records (sample TEXT NOT NULL, digest TEXT NOT NULL, info TEXT NOT NULL, array BLOB, maps BLOB, "
    "PRIMARY KEY (sample, digest))"
)


class Shard(NamedTuple):
    """A file of records as it was at some time; one that is written anew is another shard."""

    path: str
    inode: int
    modified_ns: int
    bytes: int


class Row(NamedTuple):
    """A record by its names.

    Attributes:
        number: in its shard.
        sample: id.
        digest: of the sample's own inputs.
    """

    number: int
    sample: str
    digest: str


def shards_in(folder: Path) -> list[Shard]:
    """The shards of a folder, oldest first; none of a folder that is not there."""
    try:
        with os.scandir(folder) as entries:
            files = [(entry.path, entry.stat()) for entry in entries if entry.name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return []
    found = [Shard(path, status.st_ino, status.st_mtime_ns, status.st_size) for path, status in files]
    return sorted(found)


def _new_name() -> str:
    """Nobody else's, and after those of before."""
    return f"{time.time_ns()}-{secrets.token_hex(4)}{_SUFFIX}"


def rows_of(shard: Shard) -> list[Row]:
    """The names of all records of a shard; on any number of threads and after a fork, as `value_in`.

    Raises:
        UserError: the file is damaged, or cannot be opened.
    """
    with _readable(shard):
        found = _open_shards.connection(shard).execute("SELECT rowid, sample, digest FROM records")
        return [Row(*row) for row in found]


def value_in(shard: Shard, number: int, column: str) -> str | bytes | None:
    """One of a record's "info" (text), "array" and "maps" (bytes, or None where it has none).

    Raises:
        UserError: as of `rows_of`.
    """
    with _readable(shard):
        query = f"SELECT {column} FROM records WHERE rowid = ?"
        (value,) = _open_shards.connection(shard).execute(query, (number,)).fetchone()
        found: str | bytes | None = value
        return found


def values_in(shard: Shard, numbers: Sequence[int], column: str) -> dict[int, str | bytes | None]:
    """The same of many records, by number; several thousand at most, as they are named in one query.

    Raises:
        UserError: as of `rows_of`.
    """
    with _readable(shard):
        query = f"SELECT rowid, {column} FROM records WHERE rowid IN ({','.join(map(str, numbers))})"
        return dict(_open_shards.connection(shard).execute(query).fetchall())


class _OpenShards(threading.local):
    """The shards that a thread has read last; SQLite's connections do not survive a fork."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._connections: OrderedDict[Shard, sqlite3.Connection] = OrderedDict()

    def connection(self, shard: Shard) -> sqlite3.Connection:
        if self._process != os.getpid():
            self._process, self._connections = os.getpid(), OrderedDict()
        if shard not in self._connections:
            if len(self._connections) >= _OPEN_SHARDS:
                self._connections.popitem(last=False)[1].close()
            opened = sqlite3.connect(_address(shard.path, "mode=ro&immutable=1"), uri=True)
            opened.execute(f"PRAGMA cache_size = -{_PAGES_KIB}")
            self._connections[shard] = opened
        self._connections.move_to_end(shard)
        return self._connections[shard]


_open_shards = _OpenShards()


def _address(path: str | Path, options: str) -> str:
    """A path as SQLite takes it; one that begins with two slashes is no name of a machine."""
    return f"file://{quote(bytes(Path(path).absolute()))}?{options}"


@contextmanager
def _readable(shard: Shard) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _NOT_NOW:
            raise UserError(
                f"{shard.path} cannot be opened ({error}): look at the disk, and at how many files may be open "
                "(ulimit -n), and run the same command again"
            ) from error
        raise UserError(
            f"{shard.path} cannot be read ({error}); remove it, and the next run computes anew what it held"
        ) from error


class ShardWriter:
    """Adds records to a folder, on any number of threads.

    Args:
        folder: is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._gathers = False
        self._filled: _Filled | None = None
        self._written_at = 0.0
        self._later: threading.Timer | None = None

    def add(self, sample: str, digest: str, info: str, array: bytes | None, maps: bytes | None) -> None:
        """Add a record, or put it in the place of the one with its names; written now, unless they are gathered."""
        with self._lock:
            if self._filled is None:
                self._filled = _Filled(self._folder / _new_name())
            self._filled.add(sample, digest, info, array, maps)
            if not self._gathers or self._filled.is_full:
                self._finish()
            elif time.monotonic() - self._written_at >= _SECONDS_UNWRITTEN:
                self._write()
            elif self._later is None:  # the next record may be long in coming
                self._later = threading.Timer(_SECONDS_UNWRITTEN, self._write_what_waits)
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
            self._filled.write()
            self._written_at = time.monotonic()

    def _finish(self) -> None:
        self._write()
        if self._filled is not None:
            self._filled.close()
            self._filled = None


class _Filled:
    """A shard that is being filled in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = self._bytes = 0
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute(_TABLE)

    def add(self, sample: str, digest: str, info: str, array: bytes | None, maps: bytes | None) -> None:
        self._database.execute(
            "REPLACE INTO records (sample, digest, info, array, maps) VALUES (?, ?, ?, ?, ?)",
            (sample, digest, info, array, maps),
        )
        self._records += 1
        self._bytes += len(info) + len(array or b"") + len(maps or b"")

    @property
    def is_full(self) -> bool:
        return self._records >= _FULL_AT_RECORDS or self._bytes >= _FULL_AT_BYTES

    def write(self) -> None:
        with replaced_atomically(self._path) as temporary:
            # Nobody else knows this file, so it needs neither locks nor a journal.
            target = sqlite3.connect(_address(temporary, "nolock=1"), uri=True)
            try:
                target.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
                self._database.backup(target)
            except sqlite3.OperationalError as error:  # such as a full disk
                raise OSError(errno.EIO, str(error), str(self._path)) from error
            finally:
                target.close()

    def close(self) -> None:
        self._database.close()
