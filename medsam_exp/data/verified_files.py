"""Image and mask files that must not change during a run.

Results are stored under the digests of their inputs. If a file were replaced between hashing and reading, its result
would be stored under the digest of the old file, and be reused once that is back.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from medsam_exp.data.images import DICOM_SUFFIX, decode, to_rgb
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
        """Read an image as `medsam_exp.data.images.read_image`.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            UserError: the file cannot be read as an image, or was changed since it was hashed.
        """
        return to_rgb(self.decoded(path), path)

    def mask(self, path: Path, foreground: Collection[int] | None = None) -> Mask:
        """Read a mask as `medsam_exp.data.masks.read_mask`.

        Args:
            path: the file.
            foreground: values that count as foreground in a mask of class labels; None for two-valued masks.

        Returns:
            (H, W) bool.

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
