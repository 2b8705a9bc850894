"""Damaged and contradictory DICOM files: one sentence each that names the file, and the others go on."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from medsam_exp.data.decoding import read_image
from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.image import ImageDataset
from medsam_exp.data.volumes.dicom_header import read_header
from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.types import UserError
from tests.command import command
from tests.data.volumes.synthetic import dicom_image, dicom_series

main = command("prepare")

PIXELS = np.random.default_rng(1).integers(0, 4096, (12, 10)).astype(np.uint16)
BROKEN = {  # what stands in the file, and what takes its place
    "columns": (b"\x28\x00\x11\x00US\x02\x00\x0a\x00", b"\x28\x00\x11\x00US\x02\x00\x00\x00"),
    "frames": (b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x02\x001A"),
    "slope": (b"DS\x04\x001.25", b"DS\x04\x00?.25"),
    "syntax": (b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.9.9.9\x00"),
    "kind of element": (b"\x28\x00\x53\x10DS", b"\x28\x00\x53\x10DQ"),
}


def image(path: Path, **elements) -> None:
    dicom_image(
        path,
        PIXELS,
        "CR",
        NumberOfFrames=1,
        InstanceNumber=7,
        RescaleSlope="1.25",
        RescaleIntercept=0,
        **elements,
    )


def broken(path: Path, what: str) -> None:
    image(path)
    old, new = BROKEN[what]
    assert path.read_bytes().count(old) == 1
    path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_header_is_named_everywhere_and_can_be_skipped(tmp_path, what, capsys) -> None:
    folder = tmp_path / "test_images"
    broken(folder / "bad.dcm", what)
    image(folder / "good.dcm", SeriesInstanceUID="1.9")
    with pytest.raises(UserError, match=r"bad\.dcm .*(damaged|decoded|export|copy)"):
        read_image(folder / "bad.dcm")
    with pytest.raises(UserError, match=r"1 of 2 samples are faulty .*bad\.dcm"):
        FolderDataset("own", str(tmp_path), "test")
    data = FolderDataset("own", str(tmp_path), "test", on_error="skip")
    assert [sample.id for sample in data.samples] == ["good"]
    assert main(["own", str(folder), str(tmp_path / "stopped")]) == 1
    assert "bad.dcm" in capsys.readouterr().err
    assert main(["own", str(folder), str(tmp_path / "out"), "--skip-faulty"]) == 0
    assert len(list((tmp_path / "out" / "test_images").iterdir())) == 1


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "copy it again"),
        ({"NumberOfFrames": 10**9}, "says 1000000000 images of 12 rows and 10 columns"),
        ({"SamplesPerPixel": 3, "PlanarConfiguration": 0}, "copy it again"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "cannot be decoded"),
        ({"PhotometricInterpretation": "RGB"}, "cannot be decoded|colours of"),
        ({"PhotometricInterpretation": None}, "cannot be decoded|has no Photometric"),
        ({"PixelData": PIXELS.tobytes()[:-40]}, "copy it again"),
    ],
)
def test_header_and_pixels_that_contradict_each_other(tmp_path, elements, words) -> None:
    dicom_image(tmp_path / "a.dcm", PIXELS, "CR", **elements)
    with pytest.raises(UserError, match=rf"a\.dcm.*({words})"):
        read_image(tmp_path / "a.dcm")
    found = find_scans(tmp_path)
    if not found.faults:
        with pytest.raises(UserError, match=rf"a\.dcm.*({words})"):
            found.scans[0].render(WindowLevel())


@pytest.mark.parametrize("spacing", [[0, 0], [-1, 1], [0.5, 0]])
def test_a_series_with_pixels_without_a_size(tmp_path, spacing) -> None:
    dicom_series(
        tmp_path, np.zeros((4, 4, 3), np.int16), np.eye(3), (1, 1, 2), (0, 0, 0), PixelSpacing=spacing
    )
    (fault,) = find_scans(tmp_path).faults
    assert "says no usable PixelSpacing" in fault


def test_damaged_compression_is_named(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dataset = dicom_image(path, PIXELS, "CR")
    dataset.compress(RLELossless)
    dataset.save_as(path)
    content = path.read_bytes()
    path.write_bytes(content[:-60] + b"\x7f" * 60)
    with pytest.raises(UserError, match=r"a\.dcm.*decoded"):
        read_image(path)


def without_preamble(path: Path, *, implicit: bool, meta: bool) -> None:
    image(path)
    dataset = dcmread(path)
    if implicit:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.save_as(path)
    content = path.read_bytes()[132:]
    length = int.from_bytes(content[8:12], "little") + 12  # of the meta information
    path.write_bytes(content if meta else content[length:])


@pytest.mark.parametrize("name", ["IM1", "a.dcm"])
@pytest.mark.parametrize(("implicit", "meta"), [(False, True), (False, False), (True, False)])
def test_a_file_without_its_preamble_is_read(tmp_path, name, implicit, meta) -> None:
    image(tmp_path / "whole.dcm")
    (expected,) = (scan.render(WindowLevel()) for scan in find_scans(tmp_path).scans)
    (tmp_path / "whole.dcm").unlink()
    without_preamble(tmp_path / name, implicit=implicit, meta=meta)
    found = find_scans(tmp_path)
    assert found.faults == found.notes == []
    assert (found.scans[0].render(WindowLevel()) == expected).all()


@pytest.mark.filterwarnings("ignore:End of file reached")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08",
        b"\x08\x00\x05\x00" * 50,
        b"\x08\x00hello" * 99,
        b"\x02\x00\x00\x00UL\x04\x00",
        b"\x00\x08" + b"\xff" * 400,
    ],
)
def test_other_files_are_not_taken_for_dicom(tmp_path, content) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_header(tmp_path / "file") is None


def test_windows_that_are_not_followed_are_said_of_a_folder(tmp_path) -> None:
    for name, width in (("a", 0), ("b", 80), ("c", 0)):
        dicom_image(
            tmp_path / "test_images" / f"{name}.dcm", PIXELS, "CR", WindowCenter=40, WindowWidth=width
        )
    (note,) = ImageDataset(str(tmp_path / "test_images" / "a.dcm")).notes
    assert note == "1 of 1 images (a) ask for a window that shows nothing (width 0), which is not followed"
    notes = FolderDataset("own", str(tmp_path), "test").notes
    assert notes == (
        "2 of 3 images (first: a) ask for a window that shows nothing (width 0), which is not followed",
    )
