"""Records in few files: SQLite databases that are written whole and never changed in place, called shards.

A writer gathers records in memory and writes them as a shard of its own, atomically, again and again until it is full;
then it begins the next. So nobody ever sees half a record, no two processes write one file, and readers need no lock:
this holds on network file systems, too, and where nothing may be written.

Each part of a record has a checksum over itself and the record's names. A shard that does not hold what was written is
set aside under another name; its whole records go into a shard in its place, and the others are no longer there.
"""

import logging
import os
import sqlite3
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.shard_file import (
    COLUMNS,
    FULL_AT_RECORDS,
    SUFFIX,
    FilledShard,
    address,
    check_of,
    checks_in,
    checks_of,
)

log = logging.getLogger(__name__)

_SET_ASIDE = ".damaged"
"""Added to the name of a damaged shard."""
_OPEN_SHARDS = 16
"""For each thread that reads."""
_PAGES_KIB = 256
"""Of an open shard in memory: records are read once."""
_NOT_NOW = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
"""What SQLite says of a file that is whole, as far as is known."""


class DamagedShardError(Exception):
    """A shard did not hold what was written; it is no longer among its folder's shards."""


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
            files = [(entry.path, entry.stat()) for entry in entries if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    found = [Shard(path, status.st_ino, status.st_mtime_ns, status.st_size) for path, status in files]
    return sorted(set(found) - _ignored)


def rows_of(shard: Shard) -> list[Row]:
    """The names of all records of a shard; on any number of threads and after a fork, as `value_in`.

    Raises:
        DamagedShardError: the file was damaged or removed.
        UserError: it cannot be opened.
    """
    with _readable(shard):
        found, _ = _open_shards.connection(shard)
        return [Row(*row) for row in found.execute("SELECT rowid, sample, digest FROM records")]


def value_in(shard: Shard, row: Row, column: str) -> bytes | None:
    """One of a record's "info" (JSON), "array" and "maps" (or None where it has none).

    Raises:
        DamagedShardError: as of `rows_of`, or of what was asked for.
        UserError: as of `rows_of`.
    """
    return values_in(shard, [row], column)[row.number]


def values_in(shard: Shard, rows: Sequence[Row], column: str) -> dict[int, bytes | None]:
    """The same of many records, by number; several thousand at most, as they are named in one query.

    Raises:
        DamagedShardError: as of `value_in`.
        UserError: likewise.
    """  # Shards of before checksums have none, and are believed.
    with _readable(shard):
        connection, checks = _open_shards.connection(shard)
        numbers = ",".join(str(row.number) for row in rows)
        query = f"SELECT rowid, sample, digest, {checks}, {column} FROM records WHERE rowid IN ({numbers})"
        place, values = COLUMNS.index(column), dict[int, bytes | None]()
        expected = {number: (sample, digest) for number, sample, digest in rows}
        for number, sample, digest, known, value in connection.execute(query):
            whole = known is None or checks_in(known)[place] == check_of(sample, digest, value)
            if not whole or expected[number] != (sample, digest):
                raise sqlite3.DatabaseError(f"the {column} of {expected[number][0]} is not what was written")
            values[number] = value
        if len(values) < len(expected):
            raise sqlite3.DatabaseError("some of its records are gone")
        return values


class _Connections(OrderedDict[Shard, tuple[sqlite3.Connection, str]]):
    """Connections by shard, the last used ones last; closed when a thread ends and takes its own with it.

    A connection refers to itself by its cache of statements, so that nothing but a collection of cycles would close it.
    """

    def __del__(self) -> None:
        for connection, _ in self.values():
            connection.close()


class _OpenShards(threading.local):
    """The shards that a thread has read last; SQLite's connections do not survive a fork."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._connections = _Connections()

    def connection(self, shard: Shard) -> tuple[sqlite3.Connection, str]:
        """A connection, and what names a record's checksums in a query."""
        if self._process != os.getpid():
            self._process, self._connections = os.getpid(), _Connections()
        if shard not in self._connections:
            if len(self._connections) >= _OPEN_SHARDS:
                self._connections.popitem(last=False)[1][0].close()
            self._connections[shard] = _opened(shard.path)
        self._connections.move_to_end(shard)
        return self._connections[shard]


_open_shards = _OpenShards()


def _opened(path: str) -> tuple[sqlite3.Connection, str]:
    opened = sqlite3.connect(address(path, "mode=ro&immutable=1"), uri=True, check_same_thread=False)
    opened.execute(f"PRAGMA cache_size = -{_PAGES_KIB}")
    columns = [name for _, name, *_ in opened.execute("PRAGMA table_info(records)")]
    return opened, "checks" if "checks" in columns else "NULL"


@contextmanager
def _readable(shard: Shard) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, struct.error, TypeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        gone = not Path(shard.path).exists()
        if not gone and code != sqlite3.SQLITE_IOERR_SHORT_READ and code & 0xFF in _NOT_NOW:
            raise UserError(
                f"{shard.path} cannot be opened ({error}): look at the disk, and at how many files may be open "
                "(ulimit -n), and run the same command again"
            ) from error
        if not gone:
            set_aside(shard, str(error))
        raise DamagedShardError(shard.path) from error


def set_aside(shard: Shard, why: str, without: Row | None = None) -> None:
    """Rename a damaged shard, after its whole records were written to another one in its place.

    Args:
        shard: whose file is renamed.
        why: for the log.
        without: a record that is not kept, whole or not.
    """
    path = Path(shard.path)
    rescued = FilledShard(path.with_name(f"{path.stem}-rescued{SUFFIX}"))
    for row, values in _whole_records(shard):
        if row != without:
            rescued.add(row.sample, row.digest, *values)
    try:
        if rescued.records:
            rescued.write()
        path.rename(aside := path.with_name(path.name + _SET_ASIDE))
    except FileNotFoundError:  # another process has set it aside
        return
    except OSError as error:
        _ignored.add(shard)
        log.warning("%s is damaged (%s) and cannot be renamed (%s); it is ignored", path, why, error.strerror)
        return
    finally:
        rescued.close()
    log.warning(
        "%s was damaged (%s) and is now called %s; %d of its records were whole, any others are computed anew",
        path,
        why,
        aside.name,
        rescued.records,
    )


def _whole_records(shard: Shard) -> Iterator[tuple[Row, tuple[bytes, bytes | None, bytes | None]]]:
    """What a damaged shard still holds as it was written; one without checksums holds nothing that can be trusted."""
    with suppress(sqlite3.DatabaseError):
        database, checks = _opened(shard.path)
        query = f"SELECT rowid, sample, digest, {checks}, {', '.join(COLUMNS)} FROM records WHERE rowid = ?"
        for number in range(1, FULL_AT_RECORDS + 1):
            with suppress(sqlite3.DatabaseError, struct.error, TypeError, UnicodeError):
                for *names, known, info, array, maps in database.execute(query, (number,)):
                    row, values = Row(*names), (info, array, maps)
                    if known is not None and known == checks_of(row.sample, row.digest, values):
                        yield row, values
        database.close()


_ignored: set[Shard] = set()
"""Damaged shards that cannot be renamed."""
