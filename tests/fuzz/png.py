"""PNG written by hand: of 16-bit colours, which Pillow does not write, and of headers that lie."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(values: NDArray[np.unsignedinteger], size: tuple[int, int] | None = None) -> bytes:
    """A PNG of (H, W, channels) uint8 or uint16.

    Args:
        values: the pixels.
        size: (H, W) that the header says; None for the true one.
    """
    height, width = values.shape[:2] if size is None else size
    bits = 8 * values.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, bits, _KINDS[values.shape[2]], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(values.dtype.newbyteorder(">")))
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
