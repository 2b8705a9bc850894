"""One image file as a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from medsam_exp.data.decoding import DICOM_SUFFIX, decode, refuse_elongated, to_rgb
from medsam_exp.data.file_dataset import Entry, FileDataset
from medsam_exp.data.pixels import Pixels, pixel_digest
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.types import RGBImage, Sample, UserError


class ImageDataset(FileDataset):
    """A single image without a true mask, to be segmented and looked at; its id is the file's stem.

    Args:
        path: the image file.
        name: short name for tables.
        split: what the image is for.
        modality: kind of scan, in words for texts ("ultrasound").
        target: what to find, in words for texts ("breast tumor").
        sentences: where texts find sentences about the target; see `medsam_exp.text.sentence_files`.
        sentence_lists: which lists of a file of sentences belong to which class.
        class_name: class of the image, for texts that need it.
        window: (center, width) in the scan's units that a gray DICOM file is shown by; None for the file's own.
        spacing_mm: (row, column) size of a pixel in mm; None when unknown, or said by the file itself, as DICOM does.

    Raises:
        UserError: the file is missing or cannot be read as an image, is too elongated, or `spacing_mm` is no size.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from medsam_exp import ImageDataset
        >>> path = Path(tempfile.mkdtemp()) / "scan.png"
        >>> Image.new("RGB", (64, 48)).save(path)
        >>> ImageDataset(str(path)).read_image("scan").shape
        (48, 64, 3)
    """

    classes_are_true = True
    label_names: tuple[str, ...] = ()

    def __init__(
        self,
        path: str,
        name: str = "image",
        split: str = "test",
        modality: str | None = None,
        target: str | None = None,
        sentences: str | None = None,
        sentence_lists: Mapping[str, str] | None = None,
        class_name: str | None = None,
        spacing_mm: Sequence[float] | None = None,
        window: Sequence[float] | None = None,
    ) -> None:
        self.name, self.split, self.modality, self.target = name, split, modality, target
        self.sentences, self.sentence_lists = sentences, sentence_lists
        file = Path(path).expanduser()
        if file.is_dir():
            raise UserError(
                f"data.path={path} is a folder: give one image here, or run data=folder data.root={path}"
            )
        if spacing_mm is not None and not (len(spacing_mm) == 2 and min(spacing_mm) > 0):
            raise UserError(
                f"data.spacing_mm is {list(spacing_mm)}: give two positive numbers, [row, column]"
            )
        self._window = None if window is None else tuple(map(float, window))
        # At once, so that faults show before any network loads.
        pixels = decode(file) if window is None else _windowed(file, window)
        image = to_rgb(pixels, file)
        refuse_elongated(image.shape[:2], file)
        given = None if spacing_mm is None else (float(spacing_mm[0]), float(spacing_mm[1]))
        sample = Sample(normalize("NFC", file.stem), class_name)
        self.samples = (sample,)
        self.notes = tuple(f"1 of 1 images ({file.stem}) {remark}" for remark in pixels.remarks)
        super().__init__(
            {sample.id: Entry(file, pixel_digest(image), given or pixels.spacing_mm)},
            f"{sample.id} has no true mask: use data=folder for images with masks",
        )
        self._shown = None if window is None else image

    def read_image(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 RGB of the image."""
        return super().read_image(sample_id) if self._shown is None else self._shown

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        """SHA-256 (hex) of the image file, and of the window that it is shown by."""
        digest = super().image_digest(sample_id, digests)
        return digest if self._window is None else text_digest(digest, str(self._window))


def _windowed(file: Path, window: Sequence[float]) -> Pixels:
    if file.suffix.lower() != DICOM_SUFFIX:
        raise UserError(f"data.window is for DICOM files (.dcm), and {file} is none: leave it out")
    if len(window) != 2:
        raise UserError(f"data.window is {list(window)}: give two numbers, [center, width]")
    from medsam_exp.data.volumes.dicom_pixels import decode_dicom  # pydicom is hardly ever needed
    from medsam_exp.data.volumes.windowing import Window

    center, width = map(float, window)
    return decode_dicom(file, Window(center, width, "LINEAR_EXACT" if 0 < width < 1 else "LINEAR"))
