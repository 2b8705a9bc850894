import csv
import json
import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.volumes.grid import RAS_FROM_LPS
from medsam_exp.data.volumes.scan import read_record
from medsam_exp.data.volumes.windowing import Window, percentile_window, to_bytes
from tests.command import command
from tests.data.volumes.synthetic import PATIENT, dicom_image, dicom_series, items, turned

main = command("prepare")

SHAPE = (12, 10, 6)
SPACING = (0.8, 0.6, 2.5)
ORIGIN = (-31.5, 12.25, 104.0)


def ct(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2000, SHAPE).astype(np.int16)


def box() -> np.ndarray:
    """(I, J, K) bool, on slices 2 to 4 only."""
    mask = np.zeros(SHAPE, bool)
    mask[3:8, 2:5, 2:5] = True
    return mask


def affine(rotation: np.ndarray) -> np.ndarray:
    """LPS."""
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = rotation * np.array(SPACING), ORIGIN
    return found


def own(source: Path, out: Path, *options: str) -> int:
    return main(["own", str(source), str(out), *options])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "index.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def failure(capsys: pytest.CaptureFixture[str], source: Path, out: Path, *options: str) -> str:
    assert own(source, out, *options) == 1
    return capsys.readouterr().err


def test_slices_and_masks_of_a_series(tmp_path, capsys) -> None:
    rotation = turned([0.1, 0.05, -0.2])
    dicom_series(
        tmp_path / "src" / PATIENT / "ct", ct(), rotation, SPACING, ORIGIN, WindowCenter=0, WindowWidth=900
    )
    mask = nibabel.Nifti1Image(box().astype(np.uint8), RAS_FROM_LPS @ affine(rotation))
    nibabel.save(nibabel.as_closest_canonical(mask), tmp_path / "src" / PATIENT / "ct" / "seg.nii.gz")
    out = tmp_path / "out"
    assert own(tmp_path / "src", out) == 0
    for k in range(SHAPE[2]):
        name = f"p001_ct01_{k:04d}"
        expected = to_bytes(Window(0, 900)(ct()[:, :, k].T - 1024.0), inverted=False)
        assert (pixels(out / "test_images" / f"{name}.png") == expected).all()
        assert (pixels(out / "test_masks" / f"{name}.png") == box()[:, :, k].T * 255).all()
        row = rows(out)[name]
        assert (row["group"], row["spacing_row_mm"], row["spacing_column_mm"]) == ("p001", "0.6", "0.8")
    assert "data.spacing_mm=index.csv" in capsys.readouterr().out
    data = FolderDataset("own", str(out), "test", spacing_mm="index.csv")
    assert {data.pixel_spacing_mm(sample.id) for sample in data.samples} == {(0.6, 0.8)}


def test_nothing_written_tells_who_the_patient_is(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    for number, patient in enumerate(["Mustermann^Erika", "Doe^John"]):
        folder = tmp_path / "src" / patient
        elements = {
            "PatientName": patient,
            "PatientID": f"4711-{number}",
            "SeriesInstanceUID": f"1.2.{number}",
        }
        dicom_series(folder, ct(number), np.eye(3), SPACING, ORIGIN, **elements)
        dicom_image(
            folder / f"{patient}.dcm",
            np.zeros((5, 6, 3), np.uint8),
            "US",
            BurnedInAnnotation="YES",
            **{**elements, "SeriesInstanceUID": f"1.3.{number}"},
        )
    (tmp_path / "src" / "Doe^John" / "broken.dcm").write_bytes(b"")
    broken = tmp_path / "src" / "Doe^John" / "short.dcm"
    dicom_image(
        broken, ct()[:, :, 0].T, "CR", PatientID="4711-1", PatientName="Doe^John", SeriesInstanceUID="1.4"
    )
    broken.write_bytes(broken.read_bytes()[:-100])
    out = tmp_path / "out"
    assert own(tmp_path / "src", out, "--skip-faulty") == 0
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) > 14
    for path in written:
        content = path.read_bytes() + path.name.encode()
        for secret in (
            b"Mustermann",
            b"Erika",
            b"Doe",
            b"John",
            b"4711-",
            b"19600101",
            str(tmp_path).encode(),
        ):
            assert secret not in content, path
    assert {row["group"] for row in rows(out).values()} == {"p001", "p002"}
    notes = json.loads((out / "prepared.json").read_text())["notes"]
    assert any("text is burnt into its pixels" in note for note in notes)
    assert "1 scans or files could not be used and were left out" in notes


def test_patients_are_not_divided(tmp_path) -> None:
    for number in range(6):
        dicom_series(
            tmp_path / "src" / str(number),
            ct(number),
            np.eye(3),
            SPACING,
            ORIGIN,
            PatientID=f"{number // 2}",
            SeriesInstanceUID=f"1.2.{number}",
        )
    assert own(tmp_path / "src", tmp_path / "out", "--split", "train=rest,test=12") == 0
    sides = {(row["group"], row["split"]) for row in rows(tmp_path / "out").values()}
    assert sorted(group for group, _ in sides) == ["p001", "p002", "p003"]
    assert sorted(split for _, split in sides) == ["test", "train", "train"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal", "0", "1", "2"])
def test_the_record_finds_every_pixel_again(tmp_path, axis, seed) -> None:
    """Every voxel holds a number of its own; each pixel of each slice must be the voxel that the record says."""
    rng = np.random.default_rng(seed)
    shape = (5, 6, 7)
    values = rng.permutation(210).reshape(shape).astype(np.float32)
    turns = np.eye(4)
    turns[:3, :3] = turned(rng.uniform(-3, 3, 3)) * [1, 2, 3]
    source = tmp_path / "case_1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, turns), source)
    assert own(source, tmp_path / "out", "--axis", axis, "--window", "127.5", "256") == 0
    (scan,) = read_record(tmp_path / "out")
    np.testing.assert_allclose(scan.affine, RAS_FROM_LPS @ nibabel.load(source).affine)
    again = np.zeros(shape)
    for name, index in scan.slices.items():
        scan.view.put(again, index, pixels(tmp_path / "out" / "test_images" / f"{name}.png"))
    assert (again == to_bytes(Window(127.5, 256)(values), inverted=False)).all()
    assert len(scan.slices) == shape[scan.view.axis]


def nifti_case(folder: Path, name: str, labels: np.ndarray | None, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(ct(seed), np.diag([-0.8, -0.6, 2.5, 1])), folder / f"{name}.nii.gz")
    if labels is not None:
        image = nibabel.Nifti1Image(labels.astype(np.uint8), np.diag([-0.8, -0.6, 2.5, 1]))
        nibabel.save(image, folder / f"{name}_seg.nii.gz")


def test_every_third_slice_and_slices_with_foreground(tmp_path) -> None:
    nifti_case(tmp_path / "src", "a", box())
    assert own(tmp_path / "src", tmp_path / "third", "--every", "3") == 0
    assert sorted(rows(tmp_path / "third")) == ["a_0000", "a_0003"]
    assert own(tmp_path / "src", tmp_path / "marked", "--only-foreground") == 0
    assert sorted(rows(tmp_path / "marked")) == ["a_0002", "a_0003", "a_0004"]
    assert own(tmp_path / "src", tmp_path / "both", "--every", "2", "--only-foreground") == 0
    assert sorted(rows(tmp_path / "both")) == ["a_0002", "a_0004"]


def test_several_labels_stay_apart_or_are_united(tmp_path, capsys) -> None:
    labels = box() * 2
    labels[0, 0, 0] = 1
    nifti_case(tmp_path / "src", "a", labels)
    assert own(tmp_path / "src", tmp_path / "apart") == 0
    assert "'data.classes={label1: [1], label2: [2]}'" in capsys.readouterr().out
    assert (pixels(tmp_path / "apart" / "test_masks" / "a_0002.png") == labels[:, :, 2].T).all()
    data = FolderDataset("own", str(tmp_path / "apart"), "test", classes={"label1": 1, "label2": 2})
    assert data.read_ground_truth("a_0003@label2").sum() == 15
    assert own(tmp_path / "src", tmp_path / "two", "--foreground", "2") == 0
    assert (pixels(tmp_path / "two" / "test_masks" / "a_0000.png") == 0).all()
    assert (pixels(tmp_path / "two" / "test_masks" / "a_0002.png") == box()[:, :, 2].T * 255).all()


def test_layouts_in_which_masks_lie(tmp_path) -> None:
    """nnU-Net's folders, one folder per patient with equal names, and a folder of masks elsewhere."""
    nifti_case(tmp_path / "nnunet" / "imagesTr", "x_001_0000", None)
    nifti_case(tmp_path / "nnunet" / "labelsTr", "x_001", None)
    labels = nibabel.Nifti1Image(box().astype(np.uint8), np.diag([-0.8, -0.6, 2.5, 1]))
    nibabel.save(labels, tmp_path / "nnunet" / "labelsTr" / "x_001.nii.gz")
    for number in (1, 2):
        nifti_case(tmp_path / "patients" / f"p{number}", "ct", box() if number == 1 else ~box(), seed=number)
    nifti_case(tmp_path / "apart" / "scans", "y", None)
    (tmp_path / "elsewhere").mkdir()
    nibabel.save(labels, tmp_path / "elsewhere" / "y.nii.gz")
    assert own(tmp_path / "nnunet", tmp_path / "1") == 0
    assert own(tmp_path / "patients", tmp_path / "2") == 0
    assert own(tmp_path / "apart", tmp_path / "3", "--masks", str(tmp_path / "elsewhere")) == 0
    for out, name, mask in (
        ("1", "x_001_0000_0003", box()),
        ("2", "p1_ct_0003", box()),
        ("2", "p2_ct_0003", ~box()),
        ("3", "y_0003", box()),
    ):
        assert (pixels(tmp_path / out / "test_masks" / f"{name}.png") == mask[:, :, 3].T * 255).all()


def test_pictures_with_masks_and_single_dicom_images(tmp_path) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 255, (8, 9)).astype(np.uint8), rng.random((8, 9)) > 0.5
    for folder in ("images", "masks"):
        (tmp_path / "src" / folder).mkdir(parents=True)
    Image.fromarray(image).save(tmp_path / "src" / "images" / "a.png")
    Image.fromarray(mask).save(tmp_path / "src" / "masks" / "a.png")
    regions = items(
        {
            "RegionSpatialFormat": 1,
            "RegionDataType": 1,
            "PhysicalUnitsXDirection": 3,
            "PhysicalUnitsYDirection": 3,
            "PhysicalDeltaX": 0.02,
            "PhysicalDeltaY": 0.03,
        }
    )
    colours = rng.integers(0, 255, (8, 9, 3)).astype(np.uint8)
    dicom_image(tmp_path / "src" / "us.dcm", colours, "US", SequenceOfUltrasoundRegions=regions)
    Image.fromarray(~mask).save(tmp_path / "src" / "us_mask.png")
    assert own(tmp_path / "src", tmp_path / "out") == 0
    found = rows(tmp_path / "out")
    assert sorted(found) == ["a", "p001_us01"]
    assert (found["a"]["spacing_row_mm"], found["p001_us01"]["spacing_row_mm"]) == ("", "0.3")
    assert (pixels(tmp_path / "out" / "test_images" / "a.png") == image).all()
    assert (pixels(tmp_path / "out" / "test_masks" / "a.png") == mask * 255).all()
    assert (pixels(tmp_path / "out" / "test_images" / "p001_us01.png") == colours).all()
    assert (pixels(tmp_path / "out" / "test_masks" / "p001_us01.png") == ~mask * 255).all()
    data = FolderDataset("own", str(tmp_path / "out"), "test", spacing_mm="index.csv")
    assert data.pixel_spacing_mm("a") is None
    assert data.pixel_spacing_mm("p001_us01") == pytest.approx((0.3, 0.2))


def test_files_of_one_patient_by_a_pattern_and_renamed(tmp_path) -> None:
    for name in ("anna_t1", "anna_t2", "bert_t1"):
        nifti_case(tmp_path / "src", name, None)
    assert own(tmp_path / "src", tmp_path / "kept", "--patient", "([a-z]+)_") == 0
    assert {row["group"] for row in rows(tmp_path / "kept").values()} == {"anna", "bert"}
    assert own(tmp_path / "src", tmp_path / "numbered", "--patient", "([a-z]+)_", "--rename") == 0
    everything = b"".join(path.read_bytes() for path in (tmp_path / "numbered").rglob("*.[cj]s*"))
    assert b"bert_t1" not in everything
    assert {row["group"] for row in rows(tmp_path / "numbered").values()} == {"p001", "p002"}


def test_the_same_command_writes_the_same_bytes_and_nothing_twice(tmp_path) -> None:
    nifti_case(tmp_path / "src", "a", box())
    for out in ("one", "two", "one"):
        assert own(tmp_path / "src", tmp_path / out) == 0
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / o).rglob("*.*") if p.is_file()} for o in ("one", "two")
    )
    assert one == two


def test_bad_input_in_a_sentence(tmp_path, capsys) -> None:
    source = tmp_path / "src"
    nifti_case(source, "a", box())
    assert "choose another" in failure(capsys, source, source / "out")
    assert "--every is 0" in failure(capsys, source, tmp_path / "o", "--every", "0")
    assert "is no regular expression" in failure(capsys, source, tmp_path / "o", "--patient", "(")
    assert "does not match a.nii.gz" in failure(capsys, source, tmp_path / "o", "--patient", "zz")
    assert "unpack it" in failure(capsys, tmp_path / "a.zip", tmp_path / "o")
    assert "does not exist" in failure(capsys, tmp_path / "nowhere", tmp_path / "o")
    assert own(source, tmp_path / "o", "--foreground", "0,x") == 1
    assert "is no list of labels" in capsys.readouterr().err

    nifti_case(source, "b", None)
    assert "b.nii.gz has no mask, but others have" in failure(capsys, source, tmp_path / "o")
    assert own(source, tmp_path / "skipped", "--skip-faulty") == 0
    assert "left out: b.nii.gz has no mask" in capsys.readouterr().out

    moved = nibabel.Nifti1Image(box().astype(np.uint8), np.diag([-0.8, -0.6, 3.5, 1]))
    nibabel.save(moved, source / "b_seg.nii.gz")
    assert "does not lie on the voxels of its image" in failure(capsys, source, tmp_path / "o")
    (source / "b_seg.nii.gz").rename(source / "c_seg.nii.gz")
    (source / "b.nii.gz").unlink()
    assert "c_seg.nii.gz has no image of its name" in failure(capsys, source, tmp_path / "o")
    (source / "c_seg.nii.gz").unlink()
    nifti_case(source, "a", ~box() & False)
    assert "no slice is left" in failure(capsys, source, tmp_path / "o", "--only-foreground")
    assert not (tmp_path / "o").exists()


def test_named_ct_windows_are_refused_for_mr(tmp_path, capsys) -> None:
    dicom_series(tmp_path / "src", ct(), np.eye(3), SPACING, ORIGIN, modality="MR")
    assert "is MR, and the window lung is one for CT" in failure(
        capsys, tmp_path / "src", tmp_path / "o", "--window", "lung"
    )


@pytest.mark.parametrize(
    ("width", "scale", "options", "expected"),
    [
        (0, 1, (), Window(50, 400)),  # as CT that asks for nothing
        (0, 1, ("--window", "40", "300"), Window(40, 300)),
        (0, 1, ("--window", "-40", "300"), Window(-40, 300)),
        (0.25, 0.001, (), Window(0.25, 0.25, "LINEAR_EXACT")),
        (0.25, 0.001, ("--window", "0.5", "0.75"), Window(0.5, 0.75, "LINEAR_EXACT")),
        (0.25, 0.001, ("--percentiles", "0", "100"), None),
    ],
)
def test_windows_that_cannot_be_followed_and_others_in_their_place(
    tmp_path, capsys, width, scale, options, expected
) -> None:
    elements = {"WindowCenter": width, "WindowWidth": width, "RescaleSlope": scale, "RescaleIntercept": 0}
    dicom_series(tmp_path / "src", ct(), np.eye(3), SPACING, ORIGIN, **elements)
    assert own(tmp_path / "src", tmp_path / "out", *options) == 0
    assert "p001_ct01: 6 of 6 images ask for a window" in capsys.readouterr().out
    values = (ct() * np.float64(scale)).astype(np.float32)
    window = expected or percentile_window(values, 0, 100)
    shown = pixels(tmp_path / "out" / "test_images" / "p001_ct01_0003.png")
    assert (shown == to_bytes(window(values[:, :, 3].T), inverted=False)).all()


def test_a_mask_beside_a_series_is_that_of_all_its_phases(tmp_path) -> None:
    for number in (1, 2):
        dicom_series(tmp_path / "src", ct(number), np.eye(3), SPACING, ORIGIN, AcquisitionNumber=number)
        for path in list((tmp_path / "src").glob("IM*")):
            path.rename(path.with_name(f"{number}_{path.name}"))
    mask = nibabel.Nifti1Image(box().astype(np.uint8), RAS_FROM_LPS @ affine(np.eye(3)))
    nibabel.save(mask, tmp_path / "src" / "src_seg.nii.gz")
    assert own(tmp_path / "src", tmp_path / "out") == 0
    for scan in ("p001_ct01", "p001_ct02"):
        assert (pixels(tmp_path / "out" / "test_masks" / f"{scan}_0003.png") == box()[:, :, 3].T * 255).all()
    assert {row["group"] for row in rows(tmp_path / "out").values()} == {"p001"}
