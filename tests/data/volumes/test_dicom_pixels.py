import io
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from medsam_exp.data.decoding import decode, read_image
from medsam_exp.data.volumes.dicom_header import frames_of, read_header
from medsam_exp.data.volumes.dicom_pixels import read_colours, read_values, render_gray
from medsam_exp.data.volumes.windowing import Window, to_bytes
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import dicom_image, items


def gray(dtype=np.uint16, low: int = 0, high: int = 4096) -> np.ndarray:
    return np.random.default_rng(2).integers(low, high, (23, 31)).astype(dtype)


def smooth_colours() -> np.ndarray:
    rows, columns = np.mgrid[:24, :32]
    return np.stack([rows * 10, columns * 7, 255 - rows * 5], axis=-1).astype(np.uint8)


def frame(path: Path, number: int = 0):
    return frames_of(path, read_header(path))[number]


def with_itk(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [(np.int16, -2000, 3000), (np.uint16, 0, 65535), (np.uint8, 0, 255)]
)
def test_values_are_those_of_another_reader(tmp_path, dtype, low, high) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(dtype, low, high), RescaleSlope=2.5, RescaleIntercept=-1024)
    np.testing.assert_allclose(read_values(frame(path)), with_itk(path), rtol=1e-6)
    np.testing.assert_allclose(read_values(frame(path)), gray(dtype, low, high) * 2.5 - 1024, rtol=1e-6)


def test_bits_above_those_stored_are_dropped(tmp_path) -> None:
    values = gray(np.int16, -2048, 2048)
    stored = (values.astype(np.int32) & 0x0FFF) | 0x5000  # an overlay in the highest bits, and no sign there
    dicom_image(tmp_path / "a.dcm", stored.astype(np.int16), BitsStored=12, HighBit=11)
    assert (read_values(frame(tmp_path / "a.dcm")) == values).all()


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_compression_by_pydicom(tmp_path, syntax) -> None:
    path = tmp_path / "a.dcm"
    dataset = dicom_image(path, gray(), BitsStored=12, HighBit=11)
    dataset.compress(syntax)
    dataset.save_as(path)
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert (read_values(frame(path)) == gray()).all()
    assert (read_values(frame(path)) == with_itk(path)).all()


def test_a_deflated_file(tmp_path) -> None:
    path, values = tmp_path / "a.dcm", np.tile(gray()[:1], (200, 1))
    dataset = dicom_image(path, values)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert path.stat().st_size < values.nbytes / 2
    assert (read_values(frame(path)) == values).all()


def encoded(path: Path, pixels: np.ndarray, syntax, picture_format: str, **options) -> None:
    """Compress by Pillow, an encoder that has nothing to do with the decoders here."""
    dataset = dcmread(path)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=picture_format, **options)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)


def test_jpeg_2000(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(np.uint16))
    encoded(path, gray(np.uint16), JPEG2000Lossless, "JPEG2000", irreversible=False, no_jp2=True)
    assert (read_values(frame(path)) == gray(np.uint16)).all()
    colours = smooth_colours()
    dicom_image(path, colours, "US", PhotometricInterpretation="YBR_RCT")
    encoded(path, colours, JPEG2000, "JPEG2000", irreversible=False, no_jp2=True, mct=1)
    assert (read_colours(frame(path)) == colours).all()


def test_jpeg_colours_are_turned_into_rgb(tmp_path) -> None:
    path, colours = tmp_path / "a.dcm", smooth_colours()
    dicom_image(path, colours, "US", PhotometricInterpretation="YBR_FULL_422", LossyImageCompression="01")
    encoded(path, colours, JPEGBaseline8Bit, "JPEG", quality=95)
    assert np.abs(read_colours(frame(path)).astype(int) - colours).mean() < 4
    assert decode(path).lossy


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_and_ybr(tmp_path, planar) -> None:
    path, colours = tmp_path / "a.dcm", smooth_colours()
    stored = colours if planar == 0 else np.moveaxis(colours, -1, 0)
    dicom_image(
        path, colours, "US", PlanarConfiguration=planar, PixelData=np.ascontiguousarray(stored).tobytes()
    )
    assert (read_colours(frame(path)) == colours).all()
    ybr = convert_color_space(colours, "RGB", "YBR_FULL")
    dicom_image(path, ybr, "US", PhotometricInterpretation="YBR_FULL")
    assert np.abs(read_colours(frame(path)).astype(int) - colours).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes(tmp_path, bits) -> None:
    path, numbers = tmp_path / "a.dcm", gray(np.uint8, 0, 256)
    table = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16)
    stored = table.astype("<u2") * (257 if bits == 16 else 1)
    tables = {
        f"{name}PaletteColorLookupTableData": stored[n].astype(f"<u{bits // 8}").tobytes()
        for n, name in enumerate(("Red", "Green", "Blue"))
    }
    descriptors = {
        f"{name}PaletteColorLookupTableDescriptor": [256, 0, bits] for name in ("Red", "Green", "Blue")
    }
    dicom_image(path, numbers, "US", PhotometricInterpretation="PALETTE COLOR", **tables, **descriptors)
    assert (read_colours(frame(path)) == table[:, numbers].transpose(1, 2, 0)).all()


def test_monochrome1_is_inverted(tmp_path) -> None:
    paths = [tmp_path / "1.dcm", tmp_path / "2.dcm"]
    for path, kind in zip(paths, ("MONOCHROME1", "MONOCHROME2"), strict=True):
        dicom_image(path, gray(), PhotometricInterpretation=kind, WindowCenter=2000, WindowWidth=1500)
    first, second = (render_gray(read_values(frame(path)), frame(path), None) for path in paths)
    assert (first == 255 - second).all()
    assert (second == to_bytes(Window(2000, 1500)(gray()), inverted=False)).all()


def test_the_first_of_several_windows_with_its_function(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(), WindowCenter=[2000, 40], WindowWidth=[900, 80], VOILUTFunction="SIGMOID")
    own = frame(path)
    assert own.window == Window(2000, 900, "SIGMOID")
    asked = render_gray(read_values(own), own, Window(40, 80))
    assert (asked == to_bytes(Window(40, 80)(gray()), inverted=False)).all()


@pytest.mark.parametrize(
    ("elements", "window", "remark"),
    [
        ({"WindowCenter": 0, "WindowWidth": 0}, None, "shows nothing (width 0), which is not followed"),
        ({"WindowCenter": 0, "WindowWidth": -5}, None, "shows nothing (width -5), which is not followed"),
        ({"WindowCenter": [0, 50], "WindowWidth": [0, 80]}, Window(50, 80), "their next one is used"),
        (
            {"WindowCenter": 0.4, "WindowWidth": 0.9},
            Window(0.4, 0.9, "LINEAR_EXACT"),
            "taken as LINEAR_EXACT",
        ),
        (
            {"WindowCenter": 50, "WindowWidth": 80, "VOILUTFunction": "ODD"},
            Window(50, 80),
            "taken as LINEAR",
        ),
        ({"WindowCenter": 50}, None, None),
        ({}, None, None),
    ],
)
def test_windows_that_cannot_be_followed_are_passed_over_and_said(tmp_path, elements, window, remark) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(), **elements)
    own = frame(path)
    assert own.window == window
    assert own.remarks == () if remark is None else own.remarks[0].endswith(remark)
    if window is None:
        low, high = int(gray().min()), int(gray().max())
        assert np.abs(read_image(path)[..., 0] - 255.0 * (gray() - low) / (high - low)).max() < 1
    asked = render_gray(read_values(own), own, Window(40, 80))
    assert (asked == to_bytes(Window(40, 80)(gray()), inverted=False)).all()


def test_a_window_that_is_no_number_is_passed_over(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(), WindowCenter=40, WindowWidth=80)
    content = path.read_bytes()
    assert content.count(b"DS\x04\x0080.0") == 1
    path.write_bytes(content.replace(b"DS\x04\x0080.0", b"DS\x04\x00xx.0"))
    assert "ask for a window that cannot be read" in frame(path).remarks[0]
    assert decode(path).remarks == frame(path).remarks


def test_a_slope_of_zero_is_taken_as_one(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(), RescaleSlope=0, RescaleIntercept=-24)
    assert (read_values(frame(path)) == gray() - 24.0).all()
    assert frame(path).remarks == ("have a RescaleSlope of 0, taken as 1",)


def test_tables_for_modality_and_display(tmp_path) -> None:
    """Looked up one by one."""
    path, values = tmp_path / "a.dcm", gray(np.uint16, 0, 300)
    modality = np.random.default_rng(4).integers(0, 1000, 200).tolist()
    display = np.random.default_rng(5).integers(0, 4096, 500).tolist()
    of_modality = items({"LUTDescriptor": [200, 50, 16], "LUTData": modality, "ModalityLUTType": "US"})
    of_modality[0]["LUTData"].VR = "US"  # numbers; the other table is stored as bytes
    of_display = items({"LUTDescriptor": [500, 100, 12], "LUTData": np.array(display, "<u2").tobytes()})
    dicom_image(path, values, ModalityLUTSequence=of_modality, VOILUTSequence=of_display)
    own = frame(path)
    found = read_values(own)
    after = [[modality[min(max(v - 50, 0), 199)] for v in row] for row in values.astype(int).tolist()]
    assert found.tolist() == after
    gray_values = [[display[min(max(int(v) - 100, 0), 499)] / 4095 for v in row] for row in after]
    assert (render_gray(found, own, None) == np.rint(255 * np.array(gray_values))).all()


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_shown_dark(tmp_path, kind) -> None:
    values = gray(np.int16, 100, 900)
    values[:5] = -2000
    path = tmp_path / "a.dcm"
    dicom_image(path, values, PixelPaddingValue=-2000, PhotometricInterpretation=kind)
    own = frame(path)
    picture = render_gray(read_values(own), own, None)
    assert (picture[:5] == 0).all()
    assert picture[5:].max() == 255


def test_frames_of_a_clip_are_read_one_by_one(tmp_path) -> None:
    clip = np.random.default_rng(6).integers(0, 255, (4, 12, 10)).astype(np.uint8)
    dicom_image(tmp_path / "a.dcm", clip, "US", NumberOfFrames=4)
    for number in range(4):
        assert (read_values(frame(tmp_path / "a.dcm", number)) == clip[number]).all()


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"PixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
        ({"PixelSpacing": [0.5, 0.25], "ImagerPixelSpacing": [0.6, 0.6]}, (0.5, 0.25)),
        ({"ImagerPixelSpacing": [0.6, 0.3]}, (0.6, 0.3)),
        ({"ImagerPixelSpacing": [0.6, 0.3], "EstimatedRadiographicMagnificationFactor": 1.5}, (0.4, 0.2)),
        ({"NominalScannedPixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [-1, 1]}, None),
        ({"PixelSpacing": ["nan", 1]}, None),
        ({}, None),
    ],
)
def test_sizes_of_pixels(tmp_path, elements, expected) -> None:
    dicom_image(tmp_path / "a.dcm", gray(), "CR", **elements)
    found = frame(tmp_path / "a.dcm").spacing_mm
    assert found == pytest.approx(expected) if expected else found is None


def region(dx: float, dy: float, **other) -> dict[str, object]:
    usual = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
    }
    return {**usual, "PhysicalDeltaX": dx, "PhysicalDeltaY": dy, **other}


def test_sizes_of_ultrasound_pixels_stand_in_its_regions(tmp_path) -> None:
    doppler = region(0.1, 7.0, RegionSpatialFormat=3, RegionDataType=3, PhysicalUnitsYDirection=7)
    cases = [
        ([region(0.02, 0.03), doppler], (0.3, 0.2)),
        ([region(0.02, 0.02), region(0.05, 0.05)], None),
        ([doppler], None),
    ]
    for regions, expected in cases:
        dicom_image(tmp_path / "a.dcm", smooth_colours(), "US", SequenceOfUltrasoundRegions=items(*regions))
        found = frame(tmp_path / "a.dcm").spacing_mm
        assert found == pytest.approx(expected) if expected else found is None


def test_a_dicom_image_in_a_folder_of_pictures(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray(), WindowCenter=2000, WindowWidth=900)
    expected = to_bytes(Window(2000, 900)(gray()), inverted=False)
    assert (read_image(path) == expected[..., None]).all()
    dicom_image(path, smooth_colours(), "US")
    assert (read_image(path) == smooth_colours()).all()
    dicom_image(path, np.zeros((3, 8, 8), np.uint8), "US", NumberOfFrames=3)
    with pytest.raises(UserError, match=r"a.dcm holds 3 images, one is expected: cut it by"):
        read_image(path)
    path.write_bytes(b"x" * 200)
    with pytest.raises(UserError, match=r"a.dcm is no DICOM file"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"a.dcm is empty"):
        read_image(path)
    with pytest.raises(UserError, match=r"b.dcm does not exist"):
        read_image(tmp_path / "b.dcm")


def test_truncated_pixels_are_named(tmp_path) -> None:
    path = tmp_path / "a.dcm"
    dicom_image(path, gray())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"a.dcm .*copy it again"):
        read_image(path)
