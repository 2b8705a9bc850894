"""Arrays in NumPy's .npz files, brought to disk one by one, so that memory holds the pages that are read.

No pickle of a stranger is run: an array of objects is refused, but for one of plain texts and numbers (`plain`).
"""

import io
import pickle
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from medsam_exp.runtime.limits import GIB, refuse_beyond
from medsam_exp.types import UserError

_CHUNK = 1 << 20
_LARGEST_PICKLE = 1 << 24  # bytes
_DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)
_REBUILDS = {"_reconstruct", "scalar"}
_ARRAYS = {"numpy.core.multiarray", "numpy._core.multiarray"}


class NpzArrays:
    """The arrays of one file by name; use `open_npz`.

    Attributes:
        shown: the file's name in errors.
        names: of its arrays.
    """

    def __init__(self, shown: str, archive: zipfile.ZipFile, folder: Path) -> None:
        self.shown, self._archive, self._folder = shown, archive, folder
        names = (name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
        self.names = tuple(name for name in names if re.fullmatch(r"[\w-]+", name))  # no paths

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array, from its header.

        Raises:
            UserError: there is no such array, or it is damaged.
        """
        return self._header(name)[0]

    def array(self, name: str) -> NDArray[Any]:
        """An array as a read-only memory map.

        Raises:
            UserError: there is no such array, it is damaged, holds objects or is beyond the limits, or the disk has no
                room for it.
        """
        shape, dtype = self._header(name)
        if dtype.hasobject:
            raise UserError(
                f"{self.shown}: {name} holds Python objects, which could run code, and is not read"
            )
        path = self._folder / f"{name}.npy"
        if not path.is_file():
            size = self._archive.getinfo(f"{name}.npy").file_size
            refuse_beyond(f"{self.shown}: {name}", size, "unpacked_gib", GIB, "take another file")
            if size > shutil.disk_usage(self._folder).free:
                raise UserError(
                    f"{self.shown}: {name} takes {size / 1e9:.1f} GB, more than {self._folder} has free: make room, "
                    "or set TMPDIR to another disk"
                )
            with self._naming(name), self._archive.open(f"{name}.npy") as packed, path.open("wb") as file:
                shutil.copyfileobj(packed, file, _CHUNK)
        with self._naming(name):
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if found.shape != shape:
                raise ValueError("its size changes")
            return np.asarray(found)

    def plain(self, name: str) -> Any:
        """The one object of an array of objects: texts, numbers and containers of them.

        Raises:
            UserError: there is no such array, it is damaged, or names anything else.
        """
        with self._naming(name), self._archive.open(f"{name}.npy") as file:
            if self._archive.getinfo(f"{name}.npy").file_size > _LARGEST_PICKLE:
                raise ValueError("it is too large for texts")
            _skip_header(file)
            found = _Plain(io.BytesIO(file.read())).load()
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        with self._naming(name), self._archive.open(f"{name}.npy") as file:
            return _skip_header(file)

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        if name not in self.names:
            raise UserError(f"{self.shown} has no array {name} (it has {', '.join(self.names) or 'none'})")
        try:
            yield
        except pickle.UnpicklingError as error:
            raise UserError(
                f"{self.shown}: {name} holds more than texts and numbers ({error}): do not trust it"
            ) from error
        except _DAMAGE as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.shown}: {name} cannot be read ({said}): download it again") from error


@contextmanager
def open_npz(path: Path, shown: str) -> Iterator[NpzArrays]:
    """Open a file; what it needs on disk goes at the end.

    Args:
        path: the file.
        shown: its name in errors.

    Raises:
        UserError: it is none.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{shown} cannot be read as an .npz file ({error}): download it again") from error
    with archive, tempfile.TemporaryDirectory(prefix="prepare_") as folder:
        yield NpzArrays(shown, archive, Path(folder))


def _skip_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type; afterwards the content follows."""
    read = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}
    major, _ = npy.read_magic(file)
    shape, _, dtype = read[major](file)
    return shape, dtype


class _Plain(pickle.Unpickler):
    """Knows containers, texts, numbers, and arrays of these; refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _ARRAYS and name in _REBUILDS:
            return getattr(np._core.multiarray, name)  # type: ignore[attr-defined]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which was not run")
