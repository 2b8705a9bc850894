"""What a stage has computed, on disk: one folder per key, one record per sample, written atomically.

A key names everything that decides a stage's results except the single sample: the stage and its code version, the
config groups it reads, its parents' keys, the checksums of weights. A sample's files add the digest of its own image
and text. So one new image computes one sample, and a changed setting computes only what depends on it.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.runtime.digests import text_digest, write_atomically
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.locks import waiting_lock

Record = TypeVar("Record")
_KEY_LENGTH = 16


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
    """

    def __init__(self, root: Path, stage: str, key: str, sample_digests: Mapping[str, str]) -> None:
        self.stage = stage
        self.key = key
        self.folder = root / stage / key
        self._sample_digests = sample_digests

    def pending(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Ids that have no finished record yet, in the given order."""
        return tuple(sample_id for sample_id in sample_ids if not self._path(sample_id, ".json").is_file())

    def save(
        self,
        sample_id: str,
        info: Mapping[str, Any],
        array: NDArray[np.bool_] | NDArray[np.floating[Any]] | None = None,
        maps: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        """Write a sample's result; the record is written last, so its existence means that all of it is there.

        Args:
            sample_id: which sample.
            info: facts for the record, JSON-able.
            array: (H, W) mask (bool, stored as PNG {0, 255}), original frame; or a network's answer of any shape
                (float, stored as .npy).
            maps: further (H, W) float32 maps by name, original frame, stored together as a compressed .npz.
        """
        if array is not None:
            suffix = ".png" if array.dtype == np.bool_ else ".npy"
            write_atomically(self._path(sample_id, suffix), _encode(array))
        if maps is not None:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **maps)  # type: ignore[arg-type]  # names, not options
            write_atomically(self._path(sample_id, ".npz"), buffer.getvalue())
        record = json_text({"id": sample_id, **info}, indent=1)
        write_atomically(self._path(sample_id, ".json"), record.encode())

    def info(self, sample_id: str) -> dict[str, Any]:
        """The facts saved with a sample."""
        content: dict[str, Any] = json.loads(self._path(sample_id, ".json").read_text())
        return content

    def record(self, sample_id: str, kind: type[Record]) -> Record:
        """The same facts, of a stage whose record has a type.

        Args:
            sample_id: which sample.
            kind: a TypedDict of `medsam_exp.stages.records`.

        Raises:
            UserError: a field is not there.
        """
        content = self.info(sample_id)
        absent = sorted(getattr(kind, "__required_keys__", frozenset()) - content.keys())
        if absent:
            path = self._path(sample_id, ".json")
            raise UserError(
                f"{path} has no {absent[0]!r}, so this stage did not write it; remove {self.folder}"
            )
        return cast(Record, content)

    def mask_path(self, sample_id: str) -> Path:
        """PNG {0, 255} of a sample's mask, original frame."""
        return self._path(sample_id, ".png")

    def mask(self, sample_id: str) -> NDArray[np.bool_]:
        """(H, W) bool mask of a sample, original frame."""
        with Image.open(self.mask_path(sample_id)) as image:
            return np.asarray(image) > 0

    def features(self, sample_id: str) -> NDArray[np.float32]:
        """A network's answer to a sample, in the shape and type in which it was saved."""
        array: NDArray[np.float32] = np.load(self._path(sample_id, ".npy"), allow_pickle=False)
        return array

    def maps_path(self, sample_id: str) -> Path:
        """Compressed .npz of a sample's maps."""
        return self._path(sample_id, ".npz")

    def maps(self, sample_id: str) -> dict[str, NDArray[np.float32]]:
        """(H, W) float32 maps of a sample by name, original frame."""
        with np.load(self.maps_path(sample_id), allow_pickle=False) as stored:
            return dict(stored)

    def write_manifest(self, description: Mapping[str, Any], sample_ids: Sequence[str]) -> None:
        """Say in words what the key stands for and which samples are finished; written last."""
        manifest = {**description, "key": self.key, "samples": list(sample_ids)}
        write_atomically(
            self.folder / "manifest.json", json_text(manifest, indent=1, sort_keys=True).encode()
        )

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
    def has_manifest(self) -> bool:
        """Whether the stage was once finished under this key."""
        return (self.folder / "manifest.json").is_file()

    def _path(self, sample_id: str, suffix: str) -> Path:
        name = quote(sample_id, safe=" ()[]+,=@")
        return self.folder / f"{name}.{self._sample_digests[sample_id][:12]}{suffix}"


def _encode(array: NDArray[np.bool_] | NDArray[np.floating[Any]]) -> bytes:
    buffer = io.BytesIO()
    if array.dtype == np.bool_:
        Image.fromarray(array.astype(np.uint8) * 255).save(buffer, format="PNG")
    else:
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
