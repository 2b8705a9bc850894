"""Which images of a series belong together: copies, phases, and unique ids that tell nothing."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.scan import Scan
from medsam_exp.data.volumes.windowing import Window, WindowLevel, to_bytes
from tests.data.volumes.synthetic import dicom_image, dicom_series, items

SHAPE = (9, 7, 6)
SPACING = (0.8, 0.6, 2.5)
ORIGIN = (-31.5, 12.25, 104.0)
ONE_WORD = {"SOPInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.3"}


def volume(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2000, SHAPE).astype(np.int16)


def series(folder: Path, seed: int = 0, origin=ORIGIN, **elements) -> None:
    dicom_series(folder, volume(seed), np.eye(3), SPACING, origin, **elements)


def scans(folder: Path, count: int) -> list[Scan]:
    found = find_scans(folder)
    assert found.faults == []
    assert len(found.scans) == count
    return found.scans


def shows(scan: Scan, seed: int) -> bool:
    expected = to_bytes(Window(0, 900)(volume(seed) - 1024.0), inverted=False)
    return bool((scan.render(WindowLevel(window=Window(0, 900))) == expected).all())


def renewed(folder: Path, change) -> None:
    """Write every image of a series anew, with elements that depend on the number of its slice."""
    for path in folder.iterdir():
        image = dcmread(path)
        k = round((float(image.ImagePositionPatient[2]) - ORIGIN[2]) / SPACING[2])
        for name, value in change(k).items():
            setattr(image, name, value)
        image.save_as(path)


@pytest.mark.parametrize("uids", [{"SOPInstanceUID": "1.2.3"}, {"SOPInstanceUID": None}, ONE_WORD])
def test_images_under_one_unique_id_are_told_apart_by_their_places(tmp_path, uids) -> None:
    series(tmp_path, **uids)
    (scan,) = scans(tmp_path, 1)
    assert scan.facts.shape == SHAPE
    assert shows(scan, 0)
    (note,) = scan.facts.notes
    assert note.endswith("has unique ids that do not tell its images apart: folders, places and sizes did")


def test_two_series_under_one_unique_id_are_told_apart_by_their_folders(tmp_path) -> None:
    series(tmp_path / "a", 1, **ONE_WORD, PatientID="X")
    series(tmp_path / "b", 2, (ORIGIN[0], ORIGIN[1], 204.0), **ONE_WORD, PatientID="X")
    series(tmp_path / "c", 3, **ONE_WORD, PatientID="X")
    found = scans(tmp_path, 3)
    assert [shows(scan, seed) for scan, seed in zip(found, (1, 2, 3), strict=True)] == [True] * 3


def test_one_folder_with_two_geometries_under_one_unique_id(tmp_path) -> None:
    series(tmp_path, 1, **ONE_WORD)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(f"A_{path.name}"))
    series(tmp_path, 2, **ONE_WORD, ImageOrientationPatient=[0, 1, 0, -1, 0, 0])
    first, second = scans(tmp_path, 2)
    assert shows(first, 1)
    assert shows(second, 2)


def test_patients_under_one_unique_id_are_told_apart(tmp_path) -> None:
    for number in (1, 2):
        series(tmp_path / str(number), number, PatientID=f"P{number}")
    first, second = scans(tmp_path, 2)
    assert shows(first, 1)
    assert shows(second, 2)
    assert first.facts.patient != second.facts.patient


def test_images_without_a_series_are_one_by_their_folder(tmp_path) -> None:
    for number in (1, 2):
        series(tmp_path / str(number), number, SeriesInstanceUID=None)
    first, second = scans(tmp_path, 2)
    assert shows(first, 1)
    assert shows(second, 2)


def test_copies_under_new_unique_ids_are_kept_once(tmp_path) -> None:
    for number in (1, 2):
        series(tmp_path / str(number), 5)  # each file has an id of its own
    (scan,) = scans(tmp_path, 1)
    assert scan.facts.shape == SHAPE
    assert shows(scan, 5)
    assert "has 6 images twice (same place, same pixels); one of each was kept" in scan.facts.notes[0]


def test_an_element_that_counts_images_makes_no_phases(tmp_path) -> None:
    for number, name in enumerate(("PRE", "POST")):
        series(tmp_path / name, number, ContrastBolusAgent=name)
        renewed(tmp_path / name, lambda k, number=number: {"AcquisitionNumber": 1 + k + 6 * number})
    found = scans(tmp_path, 2)
    assert [scan.facts.shape for scan in found] == [SHAPE, SHAPE]
    assert {(shows(scan, 0), shows(scan, 1)) for scan in found} == {(True, False), (False, True)}
    assert all("of 2 of its series, by ContrastBolusAgent" in scan.facts.notes[0] for scan in found)


def test_phases_that_follow_each_other_by_their_numbers(tmp_path) -> None:
    for number in (0, 1, 2):
        series(tmp_path / str(number), number)
        renewed(tmp_path / str(number), lambda k, number=number: {"AcquisitionNumber": 1 + k + 6 * number})
    found = scans(tmp_path, 3)
    assert [shows(scan, seed) for seed, scan in enumerate(found)] == [True] * 3


def test_a_heart_by_trigger_times_that_differ_from_slice_to_slice(tmp_path) -> None:
    for beat in range(4):
        series(tmp_path / str(beat), beat)
        renewed(tmp_path / str(beat), lambda k, beat=beat: {"TriggerTime": 40 * beat + 1.5 * k})
    found = scans(tmp_path, 4)
    assert [shows(scan, seed) for seed, scan in enumerate(found)] == [True] * 4


def test_two_elements_together(tmp_path) -> None:
    for echo in (1, 2):
        for b_value in (0, 500):
            folder = tmp_path / f"{echo}_{b_value}"
            series(folder, echo + b_value, EchoNumbers=echo, DiffusionBValue=float(b_value))
    found = scans(tmp_path, 4)
    assert [shows(scan, seed) for scan, seed in zip(found, (1, 501, 2, 502), strict=True)] == [True] * 4
    assert all(scan.facts.notes[0].endswith("by EchoNumbers and DiffusionBValue") for scan in found)


def test_a_phase_that_lacks_a_slice_is_no_phase(tmp_path) -> None:
    """The remedy that the sentence names works, and it names none that cannot be had."""
    for number in (1, 2):
        series(tmp_path / "all" / str(number), number, AcquisitionNumber=number)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted((tmp_path / "all").rglob("*.dcm")):
        path.rename(flat / f"{path.parent.name}_{path.name}")
    last = max(flat.glob("2_*"), key=lambda path: float(dcmread(path).ImagePositionPatient[2]))
    last.unlink()
    (fault,) = find_scans(flat).faults
    assert "has 5 slices twice at one place with different pixels" in fault
    assert fault.endswith("put the files of each set into a folder of their own")
    for path in list(flat.iterdir()):
        (flat / path.name[0]).mkdir(exist_ok=True)
        path.rename(flat / path.name[0] / path.name)
    found = scans(flat, 2)
    assert [scan.facts.shape[2] for scan in found] == [6, 5]
    assert all("of 2 of its series, by folder" in scan.facts.notes[0] for scan in found)


def test_orientations_in_folders_of_their_own_are_scans_of_their_own(tmp_path) -> None:
    """Which is the remedy where a series mixes them."""
    series(tmp_path)
    last = max(tmp_path.iterdir(), key=lambda path: float(dcmread(path).ImagePositionPatient[2]))
    image = dcmread(last)
    image.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    image.save_as(last)
    (fault,) = find_scans(tmp_path).faults
    assert fault.endswith("put the files of each orientation into a folder of their own")
    (tmp_path / "other").mkdir()
    last.rename(tmp_path / "other" / last.name)
    assert sorted(scan.facts.shape[2] for scan in scans(tmp_path, 2)) == [1, 5]


def enhanced(path: Path, order: list[tuple[int, int]], content) -> None:
    """One file with the frames (time, slice), each with what `content` says of it."""
    frames = [
        {
            "PlanePositionSequence": items({"ImagePositionPatient": [*ORIGIN[:2], ORIGIN[2] + 2.5 * k]}),
            **content(t, k),
        }
        for t, k in order
    ]
    shared = {
        "PlaneOrientationSequence": items({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}),
        "PixelMeasuresSequence": items({"PixelSpacing": [SPACING[1], SPACING[0]]}),
        "PixelValueTransformationSequence": items({"RescaleSlope": 1, "RescaleIntercept": -1024}),
    }
    dicom_image(
        path,
        np.stack([volume(t)[:, :, k].T for t, k in order]),
        "MR",
        NumberOfFrames=len(order),
        PerFrameFunctionalGroupsSequence=items(*frames),
        SharedFunctionalGroupsSequence=items(shared),
    )


@pytest.mark.parametrize(
    "content",
    [
        lambda t, k: {"FrameContentSequence": items({"TemporalPositionIndex": t + 1})},
        lambda t, k: {"FrameContentSequence": items({"DimensionIndexValues": [1, k + 1, t + 1]})},
        lambda t, k: {"MREchoSequence": items({"EffectiveEchoTime": 9.2 + t})},
        lambda t, k: {"MRDiffusionSequence": items({"DiffusionBValue": 500.0 * t})},
        lambda t, k: {
            "CardiacSynchronizationSequence": items({"NominalCardiacTriggerDelayTime": 50.0 * t + k})
        },
    ],
)
def test_an_enhanced_image_of_four_dimensions_is_several_volumes(tmp_path, content) -> None:
    order = [(t, k) for k in range(6) for t in range(3)]
    enhanced(tmp_path / "a.dcm", order, content)
    found = scans(tmp_path, 3)
    assert [shows(scan, t) for t, scan in enumerate(found)] == [True] * 3


def test_one_file_that_cannot_be_divided_has_a_way_out(tmp_path) -> None:
    enhanced(tmp_path / "a.dcm", [(t, k) for t in range(2) for k in range(6)], lambda t, k: {})
    (fault,) = find_scans(tmp_path).faults
    assert "a.dcm has 6 slices twice at one place with different pixels" in fault
    assert fault.endswith("turn the file into one NIfTI file for each volume (dcm2niix, then fslsplit)")


def test_phases_may_have_slices_of_equal_pixels(tmp_path) -> None:
    """Such as the empty ones at a volume's end; and a file that was copied is no image of a phase."""
    for number in (1, 2):
        values = volume(number)
        values[:, :, -2:] = 0
        dicom_series(tmp_path / str(number), values, np.eye(3), SPACING, ORIGIN, AcquisitionNumber=number)
    first = sorted((tmp_path / "1").iterdir())[0]
    (tmp_path / "2" / "copy.dcm").write_bytes(first.read_bytes())
    found = scans(tmp_path, 2)
    assert [scan.facts.shape for scan in found] == [SHAPE, SHAPE]
    first_notes, (note,) = (scan.facts.notes for scan in found)
    assert "has 1 images twice (same place, same pixels)" in first_notes[0]
    assert first_notes[1].endswith("is part 1 of 2 of its series, by AcquisitionNumber")
    assert note.endswith("is part 2 of 2 of its series, by AcquisitionNumber")
