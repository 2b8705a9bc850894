"""Image and mask files that must not change during a run.

Results are stored under the digests of their inputs. If a file were replaced between hashing and reading, its result
would be stored under the digest of the old file, and be reused once that is back.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from medsam_exp.data.decoding import DICOM_SUFFIX, decode, to_rgb
from medsam_exp.data.masks import to_mask
from medsam_exp.data.pixels import Pixels
from medsam_exp.runtime.digests import ChangedFileError, FileDigests
from medsam_exp.types import Mask, RGBImage


class VerifiedFiles:
    """Reads files of one dataset and compares their bytes with the digest that the run planned with."""

    def __init__(self) -> None:
        self._digests: dict[Path, str] = {}

    def digest(self, path: Path, digests: FileDigests) -> str:
        """Hash a file and remember its digest for later reads.

        Args:
            path: the file.
            digests: hashes files.

        Returns:
            SHA-256 (hex).

        Raises:
            ChangedFileError: the file has another digest than before.
        """
        found = digests.of(path)
        if self._digests.setdefault(path, found) != found:
            raise ChangedFileError.of(path)
        return found

    def image(self, path: Path) -> RGBImage:
        """(H, W, 3) uint8 RGB, as `medsam_exp.data.decoding.read_image` reads it.

        Raises:
            UserError: the file cannot be read as an image, or was changed since it was hashed.
        """
        return to_rgb(self.decoded(path), path)

    def mask(self, path: Path, foreground: Collection[int] | None = None) -> Mask:
        """(H, W) bool, as `medsam_exp.data.masks.read_mask` reads it; `foreground` likewise.

        Raises:
            UserError: the file cannot be read as a mask, or was changed since it was hashed.
        """
        return to_mask(self.decoded(path), path, foreground)[0]

    def decoded(self, path: Path) -> Pixels:
        """Decode a file from the very bytes that were compared; a DICOM file is compared after decoding.

        Raises:
            UserError: the file cannot be decoded, or was changed since it was hashed.
        """
        if path not in self._digests or not path.is_file():
            return decode(path)
        # The reader of DICOM opens its file by itself.
        pixels = decode(path) if path.suffix.lower() == DICOM_SUFFIX else None
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self._digests[path]:
            raise ChangedFileError.of(path)
        return pixels or decode(path, content)
