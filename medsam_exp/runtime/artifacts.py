"""What a stage has computed, on disk: one folder per key, one record per sample, written atomically.

A key names everything that decides a stage's results except the single sample: the stage and its code version, the
config groups it reads, its parents' keys, the checksums of weights. A sample's record adds the digest of its own image
and text. So one new image computes one sample, and a changed setting computes only what depends on it.
"""

import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.runtime.digests import text_digest, write_atomically
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.kept_arrays import KeptArrays
from medsam_exp.runtime.locks import waiting_lock
from medsam_exp.runtime.png_bytes import png_bytes
from medsam_exp.runtime.shard_file import ShardWriter
from medsam_exp.runtime.shards import (
    DamagedShardError,
    Row,
    Shard,
    rows_of,
    set_aside,
    shards_in,
    value_in,
    values_in,
)

Record = TypeVar("Record")
_KEY_LENGTH = 16
_DIGEST_LENGTH = 12
_MASKS_KEPT = 32 * 2**20
"""Bytes in memory of the masks that a process has stored, eight pixels a byte: some 1,000 of 480 x 560 pixels."""
_MAPS_KEPT = 256 * 2**20
"""Likewise of maps in the original frame, where a stage keeps them: some 250."""
_READ_AT_ONCE = 1024
"""Records of a stage, where many are asked for."""
_ONE_HEADER = threading.Lock()
"""NumPy reads an array's header by Python's parser, which fails in Python 3.11 where several threads parse at once."""


class LostRecordError(UserError):
    """A record is not there, or no longer; the stage that makes it finds it pending."""


def stage_key(
    stage: str,
    version: int,
    config: Mapping[str, Any],
    parents: Mapping[str, str],
    weights: Mapping[str, Sequence[str]],
) -> str:
    """Key (16 hex digits) of all results of a stage under one configuration."""
    content = {"stage": stage, "version": version, "config": config, "parents": parents, "weights": weights}
    canonical = json_text(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_KEY_LENGTH]


class StageArtifacts:
    """The records of one stage under one key.

    Args:
        root: folder of all artifacts.
        stage: the stage's name.
        key: from `stage_key`.
        sample_digests: digest of each sample's own inputs, by id.

    Attributes:
        kept_maps: what a stage has made of the results that it stored, for the stages after it.
    """

    def __init__(self, root: Path, stage: str, key: str, sample_digests: Mapping[str, str]) -> None:
        self.stage = stage
        self.key = key
        self.folder = root / stage / key
        self._sample_digests = sample_digests
        self.kept_maps = KeptArrays(_MAPS_KEPT)
        self._kept_masks, self._widths = KeptArrays(_MASKS_KEPT), dict[str, int]()
        self._writer = ShardWriter(self.folder)
        self._looking = threading.Lock()
        self._seen: tuple[Shard, ...] = ()
        self._places: dict[str, tuple[Shard, int]] = {}

    def pending(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Ids that have no finished record yet, in the given order."""
        self._look()
        return tuple(sample_id for sample_id in sample_ids if sample_id not in self._places)

    def save(
        self,
        sample_id: str,
        info: Mapping[str, Any],
        array: NDArray[np.bool_] | NDArray[np.floating[Any]] | None = None,
        maps: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        """Add a sample's record, whole or not at all; from any thread.

        Args:
            sample_id: which sample.
            info: facts for the record, JSON-able.
            array: (H, W) mask (bool, stored as PNG {0, 255}), original frame; or a network's answer of any shape
                (float, stored as .npy).
            maps: further (H, W) float32 maps by name, original frame, stored together as a compressed .npz.
        """
        self._writer.add(
            sample_id,
            self._digest(sample_id),
            json_text({"id": sample_id, **info}).encode(),
            None if array is None else _encode(array),
            None if maps is None else _encode_all(maps),
        )
        with self._looking:
            self._places.pop(sample_id, None)  # of an earlier record
        if array is not None and array.dtype == np.bool_:
            self._widths[sample_id] = array.shape[1]
            self._kept_masks.keep(sample_id, np.packbits(array.astype(np.bool_, copy=False), axis=1))

    def gathered(self) -> AbstractContextManager[None]:
        """Let `save` write many records at a time within a block; what a kill may lose is a few seconds' work."""
        return self._writer.gathered()

    def info(self, sample_id: str) -> dict[str, Any]:
        """The facts saved with a sample.

        Raises:
            LostRecordError: it has no record, or had one that was damaged; likewise in all that follows.
        """
        content: dict[str, Any] = json.loads(self._value(sample_id, "info"))
        return content

    def infos(self, sample_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The facts of many samples, in the given order."""
        return map(json.loads, self._values(sample_ids, "info"))

    def record(self, sample_id: str, kind: type[Record]) -> Record:
        """The same facts, of a stage whose record has a type.

        Args:
            sample_id: which sample.
            kind: a TypedDict of `medsam_exp.stages.records`.

        Raises:
            UserError: a field is not there.
        """
        return self._typed(sample_id, self.info(sample_id), kind)

    def records(self, sample_ids: Sequence[str], kind: type[Record]) -> Iterator[Record]:
        """The same of many samples, in the given order."""
        for sample_id, content in zip(sample_ids, self.infos(sample_ids), strict=True):
            yield self._typed(sample_id, content, kind)

    def mask_pngs(self, sample_ids: Sequence[str]) -> Iterator[bytes]:
        """PNG {0, 255} of many samples' masks, original frame, in the given order."""
        return self._values(sample_ids, "array")

    def mask_png(self, sample_id: str) -> bytes:
        """PNG {0, 255} of a sample's mask, original frame."""
        png: bytes = self._value(sample_id, "array")
        return png

    def mask(self, sample_id: str) -> NDArray[np.bool_]:
        """(H, W) bool mask of a sample, original frame."""
        if (packed := self._kept_masks.get(sample_id)) is not None:
            return np.unpackbits(packed, axis=1, count=self._widths[sample_id]).view(np.bool_)
        with Image.open(io.BytesIO(self.mask_png(sample_id))) as image:
            return np.asarray(image) > 0

    def features(self, sample_id: str) -> NDArray[np.float32]:
        """A network's answer to a sample, in the shape and type in which it was saved."""
        stored = io.BytesIO(self._value(sample_id, "array"))
        with _ONE_HEADER:
            array: NDArray[np.float32] = np.load(stored, allow_pickle=False)
        return array

    def maps_npz(self, sample_id: str) -> bytes:
        """Compressed .npz of a sample's maps."""
        npz: bytes = self._value(sample_id, "maps")
        return npz

    def maps(self, sample_id: str) -> dict[str, NDArray[np.float32]]:
        """(H, W) float32 maps of a sample by name, original frame."""
        with _ONE_HEADER, np.load(io.BytesIO(self.maps_npz(sample_id)), allow_pickle=False) as stored:
            return dict(stored)

    def forget(self, sample_id: str, why: str) -> NoReturn:
        """Set aside the record of results that lie beside the records and turn out to be damaged.

        Raises:
            LostRecordError: always, so that the stage is run again.
        """
        if place := self._places.get(sample_id):
            set_aside(place[0], why, without=self._row(sample_id, place[1]))
        raise LostRecordError(f"{self.folder}: {why}; run the command again that is to make it")

    def write_manifest(self, description: Mapping[str, Any], sample_ids: Sequence[str]) -> None:
        """Say in words what the key stands for and how many samples are finished; written last."""
        write_atomically(self._manifest, _manifest(description, self.key, len(sample_ids)))

    def has_manifest(self, description: Mapping[str, Any]) -> bool:
        """Whether the stage was once finished under this key, and that stands there as it was written."""
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            there = self._manifest.read_bytes()
            return there == _manifest(description, self.key, json.loads(there)["samples"])
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process compute this stage meanwhile; the lock of a process that died is free.

        Whoever had to wait finds what the other has computed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        waits = f"{self.stage:<12} waits for another process that computes it"
        with waiting_lock(self.folder.with_suffix(".lock"), waits):
            yield

    def mark_used(self) -> None:
        """Give the folder the time of now, so that nobody takes results in use for forgotten ones."""
        with suppress(OSError):  # not there yet, or somebody else's
            os.utime(self.folder)

    @property
    def content_digest(self) -> str:
        """Digest of the key and of every sample's own inputs."""
        return text_digest(self.key, *(f"{name} {of}" for name, of in sorted(self._sample_digests.items())))

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def _typed(self, sample_id: str, content: dict[str, Any], kind: type[Record]) -> Record:
        absent = sorted(getattr(kind, "__required_keys__", frozenset()) - content.keys())
        if absent:
            raise UserError(
                f"the record of {sample_id} in {self.folder} has no {absent[0]!r}, so this stage did not write it; "
                "remove that folder"
            )
        return cast(Record, content)

    def _digest(self, sample_id: str) -> str:
        return self._sample_digests[sample_id][:_DIGEST_LENGTH]

    def _value(self, sample_id: str, column: str) -> Any:
        """A column of a sample's record; what lay in a damaged shard is looked for again in the one in its place."""
        if sample_id not in self._places:
            self._look()
        absent = f"{self.folder} has no {column} of {sample_id}; run the command again that is to make it"
        while place := self._places.get(sample_id):
            shard, number = place
            try:
                found = value_in(shard, self._row(sample_id, number), column)
            except DamagedShardError:
                self._look()
                continue
            if found is None:
                raise UserError(absent)
            return found
        raise LostRecordError(absent)

    def _values(self, sample_ids: Sequence[str], column: str) -> Iterator[Any]:
        """As `_value`; so many at a time are read from each shard that holds them."""
        for start in range(0, len(sample_ids), _READ_AT_ONCE):
            block = sample_ids[start : start + _READ_AT_ONCE]
            if any(sample_id not in self._places for sample_id in block):
                self._look()
            rows: dict[Shard, list[Row]] = {}
            for sample_id in block:
                if place := self._places.get(sample_id):
                    rows.setdefault(place[0], []).append(self._row(sample_id, place[1]))
            found: dict[str, Any] = {}
            for shard, own in rows.items():
                with suppress(DamagedShardError):
                    values = values_in(shard, own, column)
                    found |= {row.sample: values[row.number] for row in own}
            for sample_id in block:
                value = found.get(sample_id)
                yield self._value(sample_id, column) if value is None else value  # it says what is missing

    def _look(self) -> None:
        """Learn where records lie that were written since the last look; of one sample's the newest counts."""
        with self._looking:
            while self._seen != (there := tuple(shards_in(self.folder))):  # again where one was set aside
                if not set(self._seen) <= set(there):  # one was written anew, or is gone
                    self._seen, self._places = (), {}
                places, seen = dict(self._places), set(self._seen)
                for shard in there:
                    if shard in seen:
                        continue
                    for number, sample, digest in _rows_or_none(shard):
                        if sample in self._sample_digests and digest == self._digest(sample):
                            known = places.get(sample)
                            if known is None or known[0] < shard:
                                places[sample] = shard, number
                self._seen, self._places = there, places

    def _row(self, sample_id: str, number: int) -> Row:
        return Row(number, sample_id, self._digest(sample_id))


def stored_digests(folder: Path) -> dict[str, list[str]]:
    """The digests of each sample that has records in a stage's folder, oldest first."""
    found: dict[str, list[str]] = {}
    for shard in shards_in(folder):
        for row in _rows_or_none(shard):
            found.setdefault(row.sample, []).append(row.digest)
    return found


def _rows_or_none(shard: Shard) -> list[Row]:
    """The records of a shard; none of a damaged one, which `shards_in` lists no more."""
    try:
        return rows_of(shard)
    except DamagedShardError:
        return []


def _manifest(description: Mapping[str, Any], key: str, samples: int) -> bytes:
    return json_text({**description, "key": key, "samples": samples}, indent=1, sort_keys=True).encode()


def _encode(array: NDArray[np.bool_] | NDArray[np.floating[Any]]) -> bytes:
    if array.dtype == np.bool_:
        return png_bytes(array.astype(np.bool_, copy=False))
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _encode_all(maps: Mapping[str, NDArray[np.float32]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **maps)  # type: ignore[arg-type]  # names, not options
    return buffer.getvalue()
