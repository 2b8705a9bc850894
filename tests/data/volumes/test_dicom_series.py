from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread
from pydicom.dataset import Dataset

from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.scan import Scan
from medsam_exp.data.volumes.windowing import Window, WindowLevel, parse_window_level, to_bytes
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import dicom_image, dicom_series, items, turned

SHAPE = (9, 7, 6)
SPACING = (0.8, 0.6, 2.5)
ORIGIN = (-31.5, 12.25, 104.0)


def volume(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2000, SHAPE).astype(np.int16)


def only_scan(folder: Path) -> Scan:
    found = find_scans(folder)
    assert found.faults == []
    assert len(found.scans) == 1
    return found.scans[0]


def only_fault(folder: Path) -> str:
    found = find_scans(folder)
    assert found.scans == []
    assert len(found.faults) == 1
    return found.faults[0]


def with_itk(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(I, J, K) values and LPS affine of a series, by another reader."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).T, affine


@pytest.mark.parametrize("seed", range(3))
def test_any_series_lies_where_another_reader_says(tmp_path, seed) -> None:
    angles = np.random.default_rng(seed).uniform(-3, 3, 3)
    dicom_series(tmp_path, volume(seed), turned(angles), SPACING, ORIGIN)
    scan = only_scan(tmp_path)
    values, affine = with_itk(tmp_path)
    np.testing.assert_allclose(scan.facts.affine, affine, atol=1e-5)
    assert scan.facts.shape == values.shape
    shown = scan.render(WindowLevel(window=Window(0, 900)))
    assert (shown == to_bytes(Window(0, 900)(values), inverted=False)).all()
    assert (shown == to_bytes(Window(0, 900)(volume(seed) - 1024.0), inverted=False)).all()


def test_slices_are_ordered_by_place_whatever_their_names_and_numbers(tmp_path) -> None:
    dicom_series(tmp_path, volume(), np.eye(3), SPACING, ORIGIN)
    order = [dcmread(path).ImagePositionPatient[2] for path in sorted(tmp_path.iterdir())]
    assert order != sorted(order)
    places = [frame.position[2] for frame in only_scan(tmp_path).frames]
    assert places == sorted(order)


def test_every_slice_is_shown_by_its_own_window(tmp_path) -> None:
    dicom_series(tmp_path, volume(), np.eye(3), SPACING, ORIGIN)
    for path in tmp_path.iterdir():
        image = dcmread(path)
        image.WindowCenter, image.WindowWidth = float(image.ImagePositionPatient[2]), 700
        image.save_as(path)
    shown = only_scan(tmp_path).render(WindowLevel())
    for k in range(SHAPE[2]):
        expected = Window(ORIGIN[2] + k * SPACING[2], 700)(volume()[:, :, k] - 1024.0)
        assert (shown[:, :, k] == to_bytes(expected, inverted=False)).all()
    named = only_scan(tmp_path).render(parse_window_level(["bone"], None))
    assert (named == to_bytes(Window(400, 1800)(volume() - 1024.0), inverted=False)).all()


def test_a_tilted_gantry_gives_a_sheared_grid(tmp_path) -> None:
    dicom_series(tmp_path, volume(), np.eye(3), SPACING, ORIGIN)
    for path in tmp_path.iterdir():
        image = dcmread(path)
        x, y, z = image.ImagePositionPatient
        image.ImagePositionPatient = [x, y + 0.3 * (z - ORIGIN[2]), z]
        image.save_as(path)
    np.testing.assert_allclose(only_scan(tmp_path).facts.affine[:3, 2], [0, 0.3 * SPACING[2], SPACING[2]])


def changed(folder: Path, number: int, **elements) -> None:
    path = sorted(folder.iterdir(), key=lambda path: float(dcmread(path).ImagePositionPatient[2]))[number]
    image = dcmread(path)
    for name, value in elements.items():
        setattr(image, name, value)
    image.save_as(path)


def test_faults_of_a_series_are_named(tmp_path) -> None:
    def fresh(name: str) -> Path:
        dicom_series(tmp_path / name, volume(), np.eye(3), SPACING, ORIGIN)
        return tmp_path / name

    folder = fresh("missing")
    by_place = sorted(folder.iterdir(), key=lambda path: float(dcmread(path).ImagePositionPatient[2]))
    by_place[2].unlink()
    assert "lacks about 1 of 6 slices (first gap 5.00 mm after slice 2, elsewhere 2.50 mm)" in only_fault(
        folder
    )

    folder = fresh("twice")
    place = dcmread(by_place[0].parent.parent / "twice" / by_place[0].name).ImagePositionPatient
    changed(folder, 1, ImagePositionPatient=place)
    assert "has 1 slices twice at one place with different pixels" in only_fault(folder)

    folder = fresh("mixed")
    changed(folder, 3, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    assert "mixes orientations (1 of 6 slices" in only_fault(folder)

    folder = fresh("spacings")
    changed(folder, 3, PixelSpacing=[1, 1])
    assert "mixes pixel spacings (2 kinds)" in only_fault(folder)

    folder = fresh("uneven")
    changed(folder, 3, ImagePositionPatient=[ORIGIN[0], ORIGIN[1], ORIGIN[2] + 3.4 * SPACING[2]])
    assert "unevenly spaced slices (1.50 to 3.50 mm)" in only_fault(folder)

    folder = fresh("oblique")
    changed(folder, 3, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    assert "no pair of perpendicular directions" in " ".join(find_scans(folder).faults)


def test_files_copied_twice_are_kept_once(tmp_path) -> None:
    dicom_series(tmp_path / "a", volume(), np.eye(3), SPACING, ORIGIN)
    first = sorted((tmp_path / "a").iterdir())[0]
    (tmp_path / "a" / "copy.dcm").write_bytes(first.read_bytes())
    scan = only_scan(tmp_path)
    assert scan.facts.shape == SHAPE
    assert "has 1 images twice (same place, same pixels); one of each was kept" in scan.facts.notes[0]


def test_phases_of_one_series_become_scans_of_their_own(tmp_path) -> None:
    for phase in (1, 2):
        dicom_series(
            tmp_path / str(phase), volume(phase), np.eye(3), SPACING, ORIGIN, AcquisitionNumber=phase
        )
    found = find_scans(tmp_path)
    assert found.faults == []
    assert [scan.facts.shape for scan in found.scans] == [SHAPE, SHAPE]
    shown = [scan.render(WindowLevel(window=Window(0, 900))) for scan in found.scans]
    for phase in (1, 2):
        assert (shown[phase - 1] == to_bytes(Window(0, 900)(volume(phase) - 1024.0), inverted=False)).all()


def test_an_enhanced_multi_frame_image_is_a_volume(tmp_path) -> None:
    """Its frames are stored from head to foot here, and rescaled each in its own way."""
    order = list(range(SHAPE[2]))[::-1]
    frames = [
        {
            "PlanePositionSequence": items(
                {"ImagePositionPatient": [ORIGIN[0], ORIGIN[1], ORIGIN[2] + k * SPACING[2]]}
            ),
            "PixelValueTransformationSequence": items({"RescaleSlope": 1 + k, "RescaleIntercept": -k}),
            "FrameVOILUTSequence": items({"WindowCenter": 100 * k, "WindowWidth": 3000}),
        }
        for k in order
    ]
    shared = {
        "PlaneOrientationSequence": items({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}),
        "PixelMeasuresSequence": items({"PixelSpacing": [SPACING[1], SPACING[0]], "SliceThickness": 9}),
    }
    dicom_image(
        tmp_path / "a.dcm",
        volume().transpose(2, 1, 0)[order],
        "MR",
        NumberOfFrames=SHAPE[2],
        PerFrameFunctionalGroupsSequence=items(*frames),
        SharedFunctionalGroupsSequence=items(shared),
    )
    scan = only_scan(tmp_path)
    assert scan.facts.shape == SHAPE
    np.testing.assert_allclose(scan.facts.affine[:3, :3], np.diag(SPACING))
    np.testing.assert_allclose(scan.facts.affine[:3, 3], ORIGIN)
    shown = scan.render(WindowLevel())
    for k in range(SHAPE[2]):
        expected = Window(100 * k, 3000)(volume()[:, :, k] * (1.0 + k) - k)
        assert (shown[:, :, k] == to_bytes(expected, inverted=False)).all()


def test_what_else_lies_in_a_study_is_passed_over_and_said(tmp_path) -> None:
    dicom_series(tmp_path / "ct", volume(), np.eye(3), SPACING, ORIGIN)
    dicom_image(tmp_path / "scout.dcm", volume()[:, :, 0].T, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    report = dcmread(sorted((tmp_path / "ct").iterdir())[0])
    for name in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        delattr(report, name)
    report.Modality = "SR"
    report.save_as(tmp_path / "report.dcm")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "noending").write_bytes(sorted((tmp_path / "ct").iterdir())[0].read_bytes())
    found = find_scans(tmp_path)
    assert [scan.facts.shape for scan in found.scans] == [SHAPE]
    assert sorted(found.notes) == [
        "1 files passed over: DICOM without pixels (SR)",
        "1 files passed over: localizers of DICOM studies",
        "1 files passed over: no scans",
    ]


def test_nothing_to_read(tmp_path) -> None:
    with pytest.raises(UserError, match="holds no scan"):
        find_scans(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        find_scans(tmp_path / "nowhere")
    (tmp_path / "a.dcm").write_bytes(b"not DICOM")
    assert "a.dcm is no DICOM file (its mark is missing)" in only_fault(tmp_path)


def test_burnt_in_text_is_reported(tmp_path) -> None:
    dicom_image(tmp_path / "a.dcm", np.zeros((5, 5, 3), np.uint8), "US", BurnedInAnnotation="YES")
    scan = only_scan(tmp_path)
    assert scan.facts.notes == (
        "a.dcm says that text is burnt into its pixels: it may show the patient's name",
    )
    assert isinstance(scan.frames[0].header, Dataset)
