"""Scans in one file each: NIfTI by nibabel, MetaImage and NRRD by SimpleITK, pictures."""

import gzip
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.decoding import decode, to_rgb
from medsam_exp.data.volumes.grid import RAS_FROM_LPS, Affine, check_affine
from medsam_exp.data.volumes.itk_header import check_header, itk_header, refuse_impossible
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.data.volumes.windowing import WindowLevel, to_bytes
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.foreign import naming_the_file
from medsam_exp.runtime.limits import MIB
from medsam_exp.types import UserError

_NIFTI_STARTS = {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}  # sizes of headers
_GZIP = b"\x1f\x8b"
_AFTER_VOXELS = 64 * MIB  # bytes that may follow the voxels of a packed file


def _check_nifti_name(path: Path) -> None:
    """Refuse a NIfTI file whose name and bytes disagree on whether it is compressed."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(4)
    named = path.name.lower().endswith(".gz")
    if named and start in _NIFTI_STARTS:
        raise UserError(f"{path} is not compressed, whatever its name says: rename it to {path.name[:-3]}")
    if start.startswith(_GZIP) and not named:
        raise UserError(f"{path} is compressed, whatever its name says: rename it to {path.name}.gz")


_NIFTI_SUFFIXES = (".nii", ".nii.gz")
_ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}
_PLACE_FIELDS = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y"),
    *("qoffset_z", "srow_x", "srow_y", "srow_z", "pixdim", "xyzt_units"),
)


class FileVolume:
    """A NIfTI, MetaImage or NRRD volume."""

    def __init__(self, path: Path, facts: ScanFacts) -> None:
        self.path, self.facts = path, facts

    def render(self, window_level: WindowLevel) -> NDArray[np.uint8]:
        """(I, J, K) gray.

        Raises:
            UserError: the file is damaged.
        """
        values = read_file_values(self.path)
        window = window_level.window_of(values, self.facts.modality, self.facts.shown)
        return to_bytes(window(values), inverted=False)


def volume_suffix(path: Path) -> str | None:
    """The ending by which a file is known as a volume, such as ".nii.gz"; None of other files."""
    name = path.name.lower()
    return next((end for end in (".nii.gz", ".nii", *_ITK_SUFFIXES) if name.endswith(end)), None)


def volume_stem(path: Path) -> str:
    """A file's name without the ending that makes it a volume."""
    return path.name[: -len(volume_suffix(path) or path.suffix) or None]


def open_file_volume(path: Path, shown: str) -> FileVolume:
    """A volume whose place is read now and whose pixels later.

    Args:
        path: the file.
        shown: what the user calls it.

    Raises:
        UserError: it is damaged, has not three dimensions, or an affine without sense.
    """
    is_nifti = volume_suffix(path) in _NIFTI_SUFFIXES
    with naming_the_file(path, "is a damaged volume"):
        if is_nifti:
            shape, affine, source, known = _nifti_facts(path)
        else:
            values, affine = _read_itk(path)
            shape, source, known = _three(values.shape, path), {}, True
    notes = () if known else (f"{shown} does not say how large its voxels are (pixdim 0)",)
    facts = ScanFacts(
        shown,
        "nifti" if is_nifti else "itk",
        shape,
        check_affine(affine, shown),
        placed=True,
        spacing_known=known,
        source=source,
        notes=notes,
        stem=volume_stem(path),
        files=(path,),
    )
    return FileVolume(path, facts)


def read_file_values(path: Path) -> NDArray[np.float32]:
    """(I, J, K) float32 numbers of a file, rescaled as its header says.

    Raises:
        UserError: it is damaged.
    """
    if volume_suffix(path) not in _NIFTI_SUFFIXES:
        return _read_itk(path)[0]
    image = _nifti(path)
    with naming_the_file(path, "is cut short or damaged"):  # zlib, gzip and NumPy each have their own errors
        shape = _three(image.shape, path)
        if path.name.lower().endswith(".gz"):
            # To the end, where the checksum stands: nibabel stops at the last voxel, and never sees it.
            image = type(image).from_bytes(_unpacked(path, image))
        return np.asarray(image.dataobj, np.float32).reshape(shape)


def _unpacked(path: Path, image: Any) -> bytes:
    """All bytes of a packed NIfTI file, to its checksum."""
    most = int(image.dataobj.offset) + _voxel_bytes(image) + _AFTER_VOXELS
    with gzip.open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UserError(f"{path} goes on behind the voxels that its header says: copy it again")
    return content


def read_labels(path: Path) -> tuple[NDArray[np.int64], Affine]:
    """(I, J, K) whole numbers of a mask file, and its affine.

    Raises:
        UserError: it is damaged, or holds numbers that are no labels.
    """
    values = read_file_values(path)
    labels = np.rint(values)
    if not np.isfinite(values).all() or np.abs(values - labels).max() > 1e-3 or labels.min() < 0:
        raise UserError(
            f"{path} holds numbers that are not 0, 1, 2, ..., so it is no mask: threshold it first"
        )
    return labels.astype(np.int64), open_file_volume(path, str(path)).facts.affine


def label_names(path: Path) -> dict[int, str]:
    """Names of a mask's labels, where its file has them as 3D Slicer writes them (.seg.nrrd); else none.

    Raises:
        UserError: the file is damaged.
    """
    if volume_suffix(path) not in {".nrrd", ".nhdr"}:
        return {}
    require("SimpleITK")
    check_header(path)
    try:
        reader = itk_header(path)
    except RuntimeError as error:
        raise _itk_fault(path, error) from error
    said = {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
    named = ((key, name) for key, name in said.items() if re.fullmatch(r"Segment\d+_Name", key) and name)
    found = ((said.get(key.replace("_Name", "_LabelValue"), ""), name) for key, name in named)
    return {int(value): name for value, name in found if value.isdecimal()}


def _itk_fault(path: Path, error: Exception) -> UserError:
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
    return UserError(f"{path} cannot be read ({last}): copy it again")


def _nifti(path: Path) -> Any:
    require("nibabel")
    import nibabel

    if not path.exists():
        raise UserError(f"{path} does not exist: check the path")
    _check_nifti_name(path)
    log = logging.getLogger("nibabel.global")
    log.addFilter(_is_no_pixdim)
    try:
        with naming_the_file(path, "cannot be read as NIfTI"):
            image = nibabel.load(path)
            _check_size(path, image)
            return image
    finally:
        log.removeFilter(_is_no_pixdim)


def _is_no_pixdim(record: logging.LogRecord) -> bool:
    """Leaves out nibabel's warnings about pixdim, which is said of the scan."""
    return "pixdim" not in record.getMessage()


def _nifti_facts(path: Path) -> tuple[tuple[int, int, int], Affine, dict[str, Any], bool]:
    image = _nifti(path)
    shape = _three(image.shape, path)
    if image.get_data_dtype().fields:
        raise UserError(f"{path} holds colours, which is not supported here: save one gray volume")
    header = image.header
    if "xyzt_units" not in header:
        raise UserError(f"{path} is no NIfTI but an older format without orientation: convert it to NIfTI")
    unit = header.get_xyzt_units()[0]
    affine = RAS_FROM_LPS @ image.affine
    affine[:3] *= _MM.get(unit, 1.0)
    fields = {name: np.asarray(header[name]).tolist() for name in _PLACE_FIELDS}
    return shape, affine, {"nifti": fields, "dimensions": len(image.shape)}, _says_sizes(path, image)


def _check_size(path: Path, image: Any) -> None:
    """Refuse a header that promises more voxels than its bytes can hold or the limit allows, before memory is taken."""
    shape = tuple(map(int, image.shape))
    refuse_impossible(
        path, shape, _voxel_bytes(image), path.name.lower().endswith(".gz"), path.stat().st_size
    )


def _voxel_bytes(image: Any) -> int:
    result: int = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    return result


def _says_sizes(path: Path, image: Any) -> bool:
    """Whether a file says how large its voxels are; nibabel replaces sizes of 0 by 1."""
    import nibabel

    if int(image.header["sform_code"]) > 0:
        return True
    with nibabel.openers.ImageOpener(str(path)) as file:
        stored = type(image.header).from_fileobj(file, check=False)
    sizes = np.abs(np.asarray(stored["pixdim"], np.float64)[1 : 1 + min(len(image.shape), 3)])
    return bool((sizes > 0).all())


def _three(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    """A shape of three axes; further axes must have the length 1."""
    padded = (*shape, 1, 1, 1)[: max(3, len(shape))]
    if len(shape) < 2 or any(n != 1 for n in padded[3:]) or 0 in padded:
        sizes = " x ".join(map(str, shape))
        raise UserError(
            f"{path} has {sizes} voxels, one volume of three dimensions is expected: split it first (fslsplit) into "
            "NAME_0000, NAME_0001, ..."
        )
    return padded[0], padded[1], padded[2]


def _read_itk(path: Path) -> tuple[NDArray[np.float32], Affine]:
    require("SimpleITK")
    check_header(path)
    try:
        reader = itk_header(path)
        image = reader.Execute()
    except (RuntimeError, MemoryError) as error:
        raise _itk_fault(path, error) from error
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetDimension() not in {2, 3}:
        raise UserError(f"{path} is no single gray volume of two or three dimensions: save it as one")
    n = image.GetDimension()
    import SimpleITK

    values = SimpleITK.GetArrayFromImage(image).astype(np.float32).T
    affine = np.eye(4)
    affine[:n, :n] = np.array(image.GetDirection()).reshape(n, n) * np.array(image.GetSpacing())
    affine[:n, 3] = image.GetOrigin()
    return values.reshape(values.shape if n == 3 else (*values.shape, 1)), affine


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

    def render(self, window_level: WindowLevel) -> NDArray[np.uint8]:
        """(I, J, 1, 3) RGB; a window is applied to gray of more than 8 bits only."""
        pixels = decode(self.path)
        values = pixels.values
        if values.ndim == 2 and values.dtype != np.uint8 and not window_level.follows_the_file:
            gray = to_bytes(window_level.window_of(values, "", self.facts.shown)(values), inverted=False)
            return gray.T[:, :, None]
        return to_rgb(pixels, self.path).transpose(1, 0, 2)[:, :, None]
