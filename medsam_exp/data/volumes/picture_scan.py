"""Pictures in ordinary formats as scans of one slice."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.images import decode, to_rgb
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.data.volumes.window_level import Look
from medsam_exp.data.volumes.windowing import to_bytes


class PictureScan:
    """One PNG, JPEG, TIFF, BMP or WebP file."""

    def __init__(self, path: Path, shown: str) -> None:
        pixels = decode(path)
        height, width = pixels.values.shape[:2]
        self.path = path
        self.facts = ScanFacts(
            shown,
            "picture",
            (width, height, 1),
            np.eye(4),
            placed=False,
            spacing_known=False,
            stem=path.stem,
            files=(path,),
        )

    def render(self, look: Look) -> NDArray[np.uint8]:
        """(I, J, 1, 3) RGB; a window is applied to gray of more than 8 bits only."""
        pixels = decode(self.path)
        values = pixels.values
        if values.ndim == 2 and values.dtype != np.uint8 and not look.is_files_own:
            gray = to_bytes(look.window_of(values, "", self.facts.shown)(values), inverted=False)
            return gray.T[:, :, None]
        return to_rgb(pixels, self.path).transpose(1, 0, 2)[:, :, None]
