"""RTSTRUCT objects against shapes whose area and place are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.segmentation_in import Segmented, read_segmentation, refers_to
from medsam_exp.types import UserError
from tests.command import command
from tests.data.volumes.synthetic import dicom_series, items, turned

main = command("prepare")

SHAPE = (50, 40, 5)
SPACING = (0.8, 0.6, 2.5)
ORIGIN = np.array([-31.5, 12.25, 104.0])
ROTATION = turned([0.3, -0.2, 0.5])
SERIES, FRAME = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"


def in_mm(i, j, k: float) -> np.ndarray:
    """(N, 3) LPS of voxels (fractions of them, too) by what the test's series says, not by the code under test."""
    steps = np.column_stack([np.ravel(i), np.ravel(j), np.full(np.size(i), k)]) * SPACING
    return ORIGIN + steps @ ROTATION.T


def circle(i: float, j: float, radius_mm: float, k: float) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    return in_mm(i + radius_mm / 0.8 * np.cos(angles), j + radius_mm / 0.6 * np.sin(angles), k)


def rtstruct(
    path: Path, structures: dict[int, tuple[str, list[np.ndarray]]], kind="CLOSED_PLANAR", series=SERIES
) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.Modality, dataset.PatientID, dataset.SeriesInstanceUID = "RTSTRUCT", "4711", "1.5"
    reference = Dataset()
    reference.FrameOfReferenceUID = FRAME
    if series:
        study = items({"RTReferencedSeriesSequence": items({"SeriesInstanceUID": series})})
        reference.RTReferencedStudySequence = study
    dataset.ReferencedFrameOfReferenceSequence = [reference]
    dataset.StructureSetROISequence = items(
        *({"ROINumber": number, "ROIName": name} for number, (name, _) in structures.items())
    )
    dataset.ROIContourSequence = items(
        *(
            {
                "ReferencedROINumber": number,
                "ContourSequence": items(
                    *(
                        {
                            "ContourGeometricType": kind,
                            "NumberOfContourPoints": len(points),
                            "ContourData": [f"{value:.6g}" for value in points.ravel()],
                        }
                        for points in contours
                    )
                ),
            }
            for number, (_, contours) in structures.items()
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def read(folder: Path, structures, foreground=None, **options) -> Segmented:
    dicom_series(folder, np.zeros(SHAPE, np.int16), ROTATION, SPACING, ORIGIN)
    rtstruct(folder / "rs.dcm", structures, **options)
    found = find_scans(folder)
    assert found.faults == []
    ((path, header),) = found.segmentations
    (scan,) = found.scans
    assert refers_to(header, scan.facts)
    return read_segmentation(path, scan.facts, foreground)


@pytest.mark.parametrize("series", [SERIES, None])
def test_a_circle_has_its_area_and_place(tmp_path, series) -> None:
    found = read(tmp_path, {3: ("Tumour", [circle(20, 18, 6, 2)])}, series=series)
    assert found.names == {3: "Tumour"}
    assert np.unique(np.nonzero(found.labels)[2]).tolist() == [2]
    inside = found.labels[:, :, 2] == 3
    perimeter = 2 * np.pi * 6 / 0.7
    assert inside.sum() == pytest.approx(np.pi * 36 / 0.48, abs=perimeter / 4)
    assert np.argwhere(inside).mean(axis=0) == pytest.approx([20, 18], abs=0.1)


def test_an_inner_contour_is_a_hole(tmp_path) -> None:
    found = read(tmp_path, {1: ("Ring", [circle(20, 18, 9, 2), circle(20, 18, 5, 2), circle(42, 32, 2, 2)])})
    inside = found.labels[:, :, 2] > 0
    i, j = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot((i - 20) * 0.8, (j - 18) * 0.6)
    sure = (np.abs(radius - 9) > 0.1) & (np.abs(radius - 5) > 0.1) & (radius < 12)
    assert (inside[sure] == ((radius < 9) & (radius > 5))[sure]).all()
    assert inside[42, 32]


def test_a_rectangle_is_filled_to_the_pixel(tmp_path) -> None:
    corners = in_mm([4.5, 14.5, 14.5, 4.5], [9.5, 9.5, 29.5, 29.5], 1)
    found = read(tmp_path, {1: ("Box", [corners])})
    expected = np.zeros(SHAPE, bool)
    expected[5:15, 10:30, 1] = True
    assert ((found.labels > 0) == expected).all()


def test_structures_that_overlap_are_named_and_can_be_chosen(tmp_path) -> None:
    body_and_tumour = {1: ("Body", [circle(20, 18, 10, 2)]), 700: ("Tumour", [circle(20, 18, 5, 2)])}
    with pytest.raises(
        UserError, match=r"overlap \(1 Body and 2 Tumour\): name those wanted with --foreground"
    ):
        read(tmp_path / "a", body_and_tumour)
    found = read(tmp_path / "b", body_and_tumour, foreground=(2,))
    assert (found.labels > 0).sum() == pytest.approx(np.pi * 25 / 0.48, rel=0.03)


def test_contours_that_cannot_be_used_are_named(tmp_path) -> None:
    with pytest.raises(
        UserError, match=r"rs.dcm has a contour that lies on no slice of .* \(slice 1.50 of 0 to 4\)"
    ):
        read(tmp_path / "a", {1: ("x", [circle(20, 18, 5, 1.5)])})
    with pytest.raises(UserError, match=r"lies on no slice"):
        read(tmp_path / "b", {1: ("x", [circle(20, 18, 5, 7)])})
    with pytest.raises(UserError, match=r"RTSTRUCT without closed contours"):
        read(tmp_path / "c", {1: ("x", [in_mm([3], [4], 1)])}, kind="POINT")
    with pytest.raises(UserError, match=r"rs.dcm is a damaged DICOM segmentation"):
        read(tmp_path / "d", {1: ("x", [circle(20, 18, 5, 1).ravel()[:-1]])})


def test_a_series_with_its_contours_is_prepared(tmp_path, capsys) -> None:
    source = tmp_path / "src"
    read(source, {1: ("Left lung", [circle(12, 12, 4, 1)]), 2: ("Tumour", [circle(35, 25, 4, 2)])})
    assert main(["own", str(source), str(tmp_path / "out"), "--only-foreground"]) == 0
    assert "'data.classes={left_lung: [1], tumour: [2]}'" in capsys.readouterr().out
    assert sorted(path.name[-8:] for path in (tmp_path / "out" / "test_masks").iterdir()) == [
        "0001.png",
        "0002.png",
    ]
    rtstruct(tmp_path / "other" / "rs.dcm", {1: ("x", [circle(12, 12, 4, 1)])}, series="1.9.9")
    dicom_series(tmp_path / "other", np.zeros(SHAPE, np.int16), ROTATION, SPACING, ORIGIN)
    assert main(["own", str(tmp_path / "other"), str(tmp_path / "o")]) == 1
    assert "rs.dcm segments a DICOM series that is not here: add the series" in capsys.readouterr().err
    with Image.open(tmp_path / "out" / "test_masks" / "p001_ct01_0002.png") as mask:
        assert np.unique(np.asarray(mask)).tolist() == [0, 2]
