"""Image and mask files of which a run has told the digests: what it reads later are the same bytes, or an error.

A result is stored under the digests of its inputs. Were a file replaced between that and its reading, its result would
lie under the digest of the old file, and serve it once that is back.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from medsam_exp.data.images import DICOM_SUFFIX, decode, to_rgb
from medsam_exp.data.masks import to_mask
from medsam_exp.data.pixels import Pixels
from medsam_exp.runtime.digests import ChangedFileError, FileDigests
from medsam_exp.types import Mask, RGBImage


class PlannedFiles:
    """The files of one dataset; those whose digest nobody has asked for are read as they are."""

    def __init__(self) -> None:
        self._digests: dict[Path, str] = {}

    def digest(self, path: Path, digests: FileDigests) -> str:
        """SHA-256 (hex) of a file, which stays what it was when first asked for.

        Raises:
            ChangedFileError: the file is another one since.
        """
        found = digests.of(path)
        if self._digests.setdefault(path, found) != found:
            raise ChangedFileError.of(path)
        return found

    def image(self, path: Path) -> RGBImage:
        """(H, W, 3) uint8 RGB, as `medsam_exp.data.images.read_image`.

        Raises:
            UserError: the file cannot be read as an image, or is another one since its digest was told.
        """
        return to_rgb(self.decoded(path), path)

    def mask(self, path: Path, foreground: Collection[int] | None = None) -> Mask:
        """(H, W) bool, as `medsam_exp.data.masks.read_mask`.

        Raises:
            UserError: the file cannot be read as a mask, or is another one since its digest was told.
        """
        return to_mask(self.decoded(path), path, foreground)[0]

    def decoded(self, path: Path) -> Pixels:
        """What the file holds, from the very bytes that were compared; a DICOM is compared after it was decoded.

        Raises:
            UserError: the file cannot be decoded, or is another one since its digest was told.
        """
        if path not in self._digests or not path.is_file():
            return decode(path)
        if path.suffix.lower() == DICOM_SUFFIX:
            pixels = decode(path)  # it reads its header and its pixels by itself
            self._compare(path, path.read_bytes())
            return pixels
        content = path.read_bytes()
        self._compare(path, content)
        return decode(path, content)

    def _compare(self, path: Path, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != self._digests[path]:
            raise ChangedFileError.of(path)
