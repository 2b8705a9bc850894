"""Records in few files: SQLite databases that are written whole and never changed in place, called shards.

A writer gathers records in memory and writes them as a shard of its own, atomically, again and again until it is full;
then it begins the next. So nobody ever sees half a record, no two processes write one file, and readers need no lock:
this holds on network file systems, too, and where nothing may be written.
"""

import os
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
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
_OPEN_SHARDS = 8
"""For each thread that reads."""
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


class ShardReader:
    """Reads shards, on any number of threads and after a fork."""

    def __init__(self) -> None:
        self._open = _OpenShards()

    def rows(self, shard: Shard) -> list[Row]:
        """The names of all records of a shard.

        Raises:
            UserError: the file is damaged.
        """
        with _readable(shard):
            found = self._open.connection(shard).execute("SELECT rowid, sample, digest FROM records")
            return [Row(*row) for row in found]

    def value(self, shard: Shard, number: int, column: str) -> str | bytes | None:
        """One of a record's "info" (text), "array" and "maps" (bytes, or None where it has none).

        Raises:
            UserError: the file is damaged.
        """
        with _readable(shard):
            query = f"SELECT {column} FROM records WHERE rowid = ?"
            (value,) = self._open.connection(shard).execute(query, (number,)).fetchone()
            found: str | bytes | None = value
            return found


class _OpenShards(threading.local):
    """The shards that a thread has read last; SQLite's connections do not survive a fork."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._connections: OrderedDict[Shard, sqlite3.Connection] = OrderedDict()

    def connection(self, shard: Shard) -> sqlite3.Connection:
        if self._process != os.getpid():
            self._process, self._connections = os.getpid(), OrderedDict()
        if shard not in self._connections:
            address = f"file:{quote(shard.path)}?mode=ro&immutable=1"
            self._connections[shard] = sqlite3.connect(address, uri=True)
            if len(self._connections) > _OPEN_SHARDS:
                self._connections.popitem(last=False)[1].close()
        self._connections.move_to_end(shard)
        return self._connections[shard]


@contextmanager
def _readable(shard: Shard) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
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

    def add(self, sample: str, digest: str, info: str, array: bytes | None, maps: bytes | None) -> None:
        """Add a record, or put it in the place of the one with its names; written now, unless they are gathered."""
        with self._lock:
            if self._filled is None:
                self._filled = _Filled(self._folder / _new_name())
            self._filled.add(sample, digest, info, array, maps)
            if not self._gathers or self._filled.is_full:
                self._finish()
            elif time.monotonic() - self._written_at >= _SECONDS_UNWRITTEN:
                self._filled.write()
                self._written_at = time.monotonic()

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

    def _finish(self) -> None:
        if self._filled is not None:
            self._filled.write()
            self._filled.close()
            self._filled, self._written_at = None, time.monotonic()


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
            target = sqlite3.connect(f"file:{quote(str(temporary))}?nolock=1", uri=True)
            try:
                target.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
                self._database.backup(target)
            finally:
                target.close()

    def close(self) -> None:
        self._database.close()
