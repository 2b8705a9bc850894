import json
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image

from medsam_exp.data.volumes.grid import RAS_FROM_LPS
from medsam_exp.data.volumes.scan import read_record
from medsam_exp.nnunet.raw_dataset import case_name
from medsam_exp.runtime.artifacts import StageArtifacts
from tests.command import command
from tests.data.volumes.synthetic import dicom_image, dicom_series, items, turned
from tests.data.volumes.test_grid import random_affine

main, prepare = command("write-back"), command("prepare")

SHAPE = (14, 12, 8)
SPACING = (0.8, 0.6, 2.5)
ORIGIN = (-31.5, 12.25, 104.0)
ENHANCED_MR = pydicom.uid.EnhancedMRImageStorage
ROTATION = turned([0.2, -0.1, 0.3])


def lps() -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = ROTATION * np.array(SPACING), ORIGIN
    return affine


def drawn_in_world(affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """(I, J, K) bool: voxels whose centre, in mm, lies in a ball about the volume's own centre, or above it."""
    points = np.einsum("ab,ijkb->ijka", affine, np.stack([*np.indices(shape), np.ones(shape)], axis=-1))[
        ..., :3
    ]
    middle = (affine @ [*((np.array(shape) - 1) / 2), 1])[:3]
    inside = np.linalg.norm(points - middle, axis=-1) < 4
    return inside | (np.linalg.norm(points - middle - [2, 1, 3], axis=-1) < 2.2)


def scan(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2000, SHAPE).astype(np.int16)


def prepared(tmp_path: Path, source: Path, *options: str) -> Path:
    out = tmp_path / "prepared"
    assert prepare(["own", str(source), str(out), *options]) == 0
    return out


def dicom(tmp_path: Path) -> Path:
    dicom_series(tmp_path / "src", scan(), ROTATION, SPACING, ORIGIN)
    return tmp_path / "src"


def predict(
    folder: Path, source: Path, volumes: dict[str, np.ndarray], leave_out: tuple[int, ...] = ()
) -> Path:
    """Masks as a run leaves them, cut by numpy's own means: every voxel followed to its slice's pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    (record,) = read_record(source)
    for name, volume in volumes.items():
        for sample_id, index in record.slices.items():
            if index not in leave_out:
                cut = record.view.take(volume, index)
                Image.fromarray(cut.astype(np.uint8) * 255).save(folder / f"{sample_id}{name}.png")
    return folder


def write(masks: Path, out: Path, source: Path, *options: str) -> int:
    return main([str(masks), str(out), "--source", str(source), *options])


@pytest.mark.parametrize("axis", ["acquired", "axial", "coronal", "sagittal"])
def test_a_dicom_mask_comes_back_to_its_place_as_nifti(tmp_path, axis) -> None:
    source = prepared(tmp_path, dicom(tmp_path), "--axis", axis)
    truth = drawn_in_world(lps())
    predict(tmp_path / "masks", source, {"": truth})
    assert write(tmp_path / "masks", tmp_path / "back", source, "--to", "nifti") == 0
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "src")))
    series, found = reader.Execute(), SimpleITK.ReadImage(str(tmp_path / "back" / "p001_ct01.nii.gz"))
    assert (truth == SimpleITK.GetArrayFromImage(found).T).all()
    assert found.GetSize() == series.GetSize()
    for index in [(0, 0, 0), (13, 11, 7), (3, 8, 5)]:
        np.testing.assert_allclose(
            found.TransformIndexToPhysicalPoint(index), series.TransformIndexToPhysicalPoint(index), atol=1e-4
        )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("axis", ["axial", "sagittal", "1"])
def test_a_nifti_mask_comes_back_bit_by_bit(tmp_path, seed, axis) -> None:
    """Flipped and permuted axes, an affine in both codes; where it lies must be said in the source's own words."""
    affine = random_affine(seed)
    image = nibabel.Nifti1Image(scan(seed), RAS_FROM_LPS @ affine)
    image.set_qform(RAS_FROM_LPS @ affine, 1)
    image.set_sform(RAS_FROM_LPS @ affine, 4)
    image.header.set_xyzt_units("mm", "sec")
    (tmp_path / "src").mkdir()
    nibabel.save(image, tmp_path / "src" / "head.nii.gz")
    source = prepared(tmp_path, tmp_path / "src", "--axis", axis)
    truth = drawn_in_world(affine)
    assert truth.any()
    predict(tmp_path / "masks", source, {"": truth})
    assert write(tmp_path / "masks", tmp_path / "back", source, "--to", "nifti") == 0
    before, after = (nibabel.load(folder / "head.nii.gz") for folder in (tmp_path / "src", tmp_path / "back"))
    assert (np.asarray(after.dataobj) == truth).all()
    assert after.get_data_dtype() == np.uint8
    assert (after.affine == before.affine).all()
    for name in ("qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_y", "pixdim", "xyzt_units"):
        assert (np.asarray(after.header[name]) == np.asarray(before.header[name])).all(), name


@pytest.mark.parametrize("shape", [(12, 9), (12, 9, 5), (12, 9, 5, 1), (12, 9, 5, 1, 1)])
def test_a_nifti_mask_has_as_many_axes_as_its_source(tmp_path, shape) -> None:
    (tmp_path / "src").mkdir()
    values = np.random.default_rng(0).integers(0, 900, shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1])), tmp_path / "src" / "head.nii")
    source = prepared(tmp_path, tmp_path / "src")
    truth = values > 450
    predict(tmp_path / "masks", source, {"": truth.reshape((*shape, 1)[:3])})
    assert write(tmp_path / "masks", tmp_path / "back", source, "--to", "nifti") == 0
    before, after = (
        nibabel.load(tmp_path / "src" / "head.nii"),
        nibabel.load(tmp_path / "back" / "head.nii.gz"),
    )
    assert after.shape == shape
    assert (np.asarray(after.dataobj) == truth).all()
    assert (after.affine == before.affine).all()


def test_slices_without_a_prediction_are_background_and_named(tmp_path, capsys) -> None:
    source = prepared(tmp_path, dicom(tmp_path), "--every", "2")
    truth = np.ones(SHAPE, bool)
    predict(tmp_path / "masks", source, {"": truth}, leave_out=(4,))
    assert write(tmp_path / "masks", tmp_path / "back", source, "--to", "nifti") == 0
    found = np.asarray(nibabel.load(tmp_path / "back" / "p001_ct01.nii.gz").dataobj)
    assert [bool(found[:, :, k].all()) for k in range(8)] == [True, False] * 2 + [False, False, True, False]
    assert (
        "p001_ct01: 5 of 8 slices were not predicted and are background (1, 3-5, 7)"
        in capsys.readouterr().out
    )


def two_classes() -> dict[str, np.ndarray]:
    low = drawn_in_world(lps())
    return {"@lesion": low, "@edema": np.roll(low, 3, axis=0) & ~low}


def test_several_classes_are_labels_of_one_file_or_files_of_their_own(tmp_path, capsys) -> None:
    source = prepared(tmp_path, dicom(tmp_path))
    classes = two_classes()
    predict(tmp_path / "run" / "masks", source, classes)
    assert write(tmp_path / "run", tmp_path / "back", source, "--to", "nifti") == 0
    found = np.asarray(nibabel.load(tmp_path / "back" / "p001_ct01.nii.gz").dataobj)
    assert json.loads((tmp_path / "back" / "labels.json").read_text()) == {
        "background": 0,
        "edema": 1,
        "lesion": 2,
    }
    assert (found == classes["@edema"] + 2 * classes["@lesion"]).all()
    (tmp_path / "run" / "labels").mkdir()
    (tmp_path / "run" / "labels" / "labels.json").write_text('{"background": 0, "lesion": 1, "edema": 2}')
    assert write(tmp_path / "run", tmp_path / "again", source, "--to", "nifti") == 0
    again = np.asarray(nibabel.load(tmp_path / "again" / "p001_ct01.nii.gz").dataobj)
    assert (again == classes["@lesion"] + 2 * classes["@edema"]).all()

    classes["@edema"] |= classes["@lesion"]
    predict(tmp_path / "run" / "masks", source, classes)
    assert write(tmp_path / "run", tmp_path / "apart", source, "--to", "nifti") == 0
    assert "2 classes overlap or are maps, so each has its own file" in capsys.readouterr().out
    for name in ("edema", "lesion"):
        one = np.asarray(nibabel.load(tmp_path / "apart" / f"p001_ct01_{name}.nii.gz").dataobj)
        assert (one == classes[f"@{name}"]).all()


def test_images_of_labels(tmp_path) -> None:
    source = prepared(tmp_path, dicom(tmp_path))
    labels = np.random.default_rng(0).choice([0, 2, 3], SHAPE).astype(np.uint8)
    (record,) = read_record(source)
    (tmp_path / "labels").mkdir()
    for name, index in record.slices.items():
        Image.fromarray(record.view.take(labels, index)).save(tmp_path / "labels" / f"{name}.png")
    assert write(tmp_path / "labels", tmp_path / "back", source, "--to", "nifti", "--what", "labels") == 0
    assert (np.asarray(nibabel.load(tmp_path / "back" / "p001_ct01.nii.gz").dataobj) == labels).all()


@pytest.mark.parametrize("what", ["masks", "labels"])
def test_predictions_under_nnunet_names_of_the_cases(tmp_path, what) -> None:
    truth = drawn_in_world(lps())
    source = prepared(tmp_path, dicom(tmp_path))
    predict(tmp_path / "masks", source, {"": truth})
    for path in list((tmp_path / "masks").iterdir()):
        with Image.open(path) as mask:
            values = np.asarray(mask) // 255
        Image.fromarray(values).save(path.with_name(f"{case_name(path.stem)}.png"))
        path.unlink()
    assert write(tmp_path / "masks", tmp_path / "back", source, "--to", "nifti", "--what", what) == 0
    assert (np.asarray(nibabel.load(tmp_path / "back" / "p001_ct01.nii.gz").dataobj) == truth).all()


def planes_by_image(path: Path) -> dict[tuple[int, str, int], np.ndarray]:
    """Frames of a DICOM-SEG object by segment, source image and frame in it, read by pydicom alone."""
    found = pydicom.dcmread(path)
    pixels = found.pixel_array.reshape(-1, found.Rows, found.Columns)
    planes = {}
    for group, plane in zip(found.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        groups = (group, found.SharedFunctionalGroupsSequence[0])
        identity = next(each for each in groups if "SegmentIdentificationSequence" in each)
        number = int(identity.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame = int(reference.get("ReferencedFrameNumber") or 1)
        planes[number, str(reference.ReferencedSOPInstanceUID), frame] = plane
    return planes


def test_a_dicom_segmentation_by_two_readers(tmp_path) -> None:
    source = prepared(tmp_path, dicom(tmp_path), "--axis", "coronal")
    classes = two_classes()
    predict(tmp_path / "masks", source, classes)
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    assert write(tmp_path / "masks", tmp_path / "back", source, *options) == 0
    path = tmp_path / "back" / "p001_ct01.dcm"
    images = [pydicom.dcmread(file) for file in (tmp_path / "src").iterdir()]
    numbers = {"edema": 1, "lesion": 2}

    planes = planes_by_image(path)
    for image in images:
        normal = ROTATION[:, 2]
        k = round(float((np.array(image.ImagePositionPatient, float) - ORIGIN) @ normal) / SPACING[2])
        for name, number in numbers.items():
            expected = classes[f"@{name}"][:, :, k].T
            plane = planes.get((number, str(image.SOPInstanceUID), 1), np.zeros(expected.shape))
            assert (plane == expected).all()

    theirs = highdicom.seg.segread(path)
    assert {theirs.get_segment_description(n).segment_label: n for n in theirs.segment_numbers} == numbers
    assert theirs.get_segment_description(1).segmented_property_type.meaning == "Tissue"
    assert theirs.StudyInstanceUID == images[0].StudyInstanceUID
    assert theirs.PatientID == images[0].PatientID
    assert theirs.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID
    volume = theirs.get_volume(combine_segments=True, allow_missing_positions=True)
    labels = classes["@edema"] + 2 * classes["@lesion"]
    for index in np.argwhere(volume.array):
        world = volume.affine @ [*index, 1]
        i, j, k = np.rint(np.linalg.solve(lps(), world)[:3]).astype(int)
        assert labels[i, j, k] == volume.array[tuple(index)]
    assert np.count_nonzero(volume.array) == np.count_nonzero(labels)


ANONYMISED = (
    *("PatientBirthDate", "PatientSex", "PatientName", "PatientID", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)


def test_images_without_elements_that_may_be_empty_get_a_segmentation(tmp_path) -> None:
    truth = drawn_in_world(lps())
    elements = dict.fromkeys(ANONYMISED)
    dicom_series(tmp_path / "src", scan(), ROTATION, SPACING, ORIGIN, **elements)
    source = prepared(tmp_path, tmp_path / "src")
    predict(tmp_path / "masks", source, {"": truth})
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    assert write(tmp_path / "masks", tmp_path / "back", source, *options) == 0
    found = pydicom.dcmread(tmp_path / "back" / "p001_ct01.dcm")
    assert [str(found.get(name) or "") for name in ANONYMISED] == [""] * len(ANONYMISED)
    assert (
        sum(int(plane.sum()) for plane in planes_by_image(tmp_path / "back" / "p001_ct01.dcm").values())
        == truth.sum()
    )


def test_images_under_one_unique_id_get_no_segmentation_but_nifti(tmp_path, capsys) -> None:
    truth = drawn_in_world(lps())
    dicom_series(tmp_path / "src", scan(), ROTATION, SPACING, ORIGIN, SOPInstanceUID="1.2.3")
    source = prepared(tmp_path, tmp_path / "src")
    predict(tmp_path / "masks", source, {"": truth})
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    assert write(tmp_path / "masks", tmp_path / "back", source, *options) == 1
    assert "p001_ct01 share a SOPInstanceUID or have none" in capsys.readouterr().err
    assert write(tmp_path / "masks", tmp_path / "back2", source, "--to", "nifti") == 0
    assert (np.asarray(nibabel.load(tmp_path / "back2" / "p001_ct01.nii.gz").dataobj) == truth).all()


def test_a_segmentation_is_read_as_a_mask_again(tmp_path) -> None:
    truth = drawn_in_world(lps())
    source = prepared(tmp_path, dicom(tmp_path))
    predict(tmp_path / "masks", source, {"": truth})
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"), "--name", "Lesion")
    assert write(tmp_path / "masks", tmp_path / "src" / "seg", source, *options) == 0
    assert prepare(["own", str(tmp_path / "src"), str(tmp_path / "again"), "--axis", "sagittal"]) == 0
    (record,) = read_record(tmp_path / "again")
    for name, index in record.slices.items():
        with Image.open(tmp_path / "again" / "test_masks" / f"{name}.png") as mask:
            assert (np.asarray(mask) == record.view.take(truth, index) * 255).all()


def test_an_enhanced_multi_frame_image_gets_a_segmentation_of_its_frames(tmp_path) -> None:
    """Its frames are stored from head to foot, against the order of the volume's slices."""
    order = list(range(SHAPE[2]))[::-1]
    places = [items({"ImagePositionPatient": [*ORIGIN[:2], ORIGIN[2] + k * SPACING[2]]}) for k in order]
    shared = {
        "PlaneOrientationSequence": items({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}),
        "PixelMeasuresSequence": items(
            {"PixelSpacing": [SPACING[1], SPACING[0]], "SliceThickness": SPACING[2]}
        ),
    }
    dicom_image(
        tmp_path / "src" / "a.dcm",
        scan().transpose(2, 1, 0)[order],
        "MR",
        SOPClassUID=ENHANCED_MR,
        NumberOfFrames=SHAPE[2],
        FrameOfReferenceUID="1.2.3",
        PerFrameFunctionalGroupsSequence=items(*({"PlanePositionSequence": place} for place in places)),
        SharedFunctionalGroupsSequence=items(shared),
    )
    source = prepared(tmp_path, tmp_path / "src")
    truth = drawn_in_world(np.diag([*SPACING, 1]))
    predict(tmp_path / "masks", source, {"": truth})
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    assert write(tmp_path / "masks", tmp_path / "seg", source, *options) == 0
    planes = planes_by_image(tmp_path / "seg" / "p001_mr01.dcm")
    for (_, _, frame), plane in planes.items():
        assert (plane == truth[:, :, order[frame - 1]].T).all()
    assert sum(plane.sum() for plane in planes.values()) == truth.sum()


UNITS = {"PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
REGION = {
    "RegionSpatialFormat": 1,
    "RegionDataType": 1,
    **UNITS,
    "PhysicalDeltaX": 0.02,
    "PhysicalDeltaY": 0.03,
}


def test_a_single_image_without_a_place_gets_a_segmentation_too(tmp_path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (12, 14, 3)).astype(np.uint8)
    dicom_image(tmp_path / "src" / "us.dcm", colours, "US", SequenceOfUltrasoundRegions=items(REGION))
    source = prepared(tmp_path, tmp_path / "src")
    truth = drawn_in_world(np.eye(4), (14, 12, 1))
    predict(tmp_path / "masks", source, {"": truth})
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    assert write(tmp_path / "masks", tmp_path / "seg", source, *options) == 0
    uid = str(pydicom.dcmread(tmp_path / "src" / "us.dcm").SOPInstanceUID)
    planes = planes_by_image(tmp_path / "seg" / "p001_us01.dcm")
    assert list(planes) == [(1, uid, 1)]
    assert (planes[1, uid, 1] == truth[:, :, 0].T).all()


def test_a_clip_goes_back_to_nifti_with_its_pixel_size_and_no_place(tmp_path, capsys) -> None:
    clip = np.random.default_rng(0).integers(0, 255, (4, 12, 10)).astype(np.uint8)
    dicom_image(
        tmp_path / "src" / "us.dcm", clip, "US", NumberOfFrames=4, SequenceOfUltrasoundRegions=items(REGION)
    )
    source = prepared(tmp_path, tmp_path / "src")
    truth = clip.transpose(2, 1, 0) > 128
    masks = predict(tmp_path / "masks", source, {"": truth})
    assert write(masks, tmp_path / "nifti", source, "--to", "nifti") == 0
    image = nibabel.load(tmp_path / "nifti" / "p001_us01.nii.gz")
    assert (np.asarray(image.dataobj) == truth).all()
    np.testing.assert_allclose(image.header.get_zooms(), [0.2, 0.3, 1])
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (0, 0)
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    sentence = failure(capsys, masks, tmp_path / "seg", source, *options)
    assert "no DICOM-SEG can be made that refers to the images of p001_us01 (Only a single frame" in sentence


def test_frames_that_a_segmentation_would_lose_are_refused(tmp_path, capsys) -> None:
    clip = np.zeros((4, 12, 10), np.uint8)
    elements = {
        "NumberOfFrames": 4,
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1",
    }  # ultrasound of a single frame
    dicom_image(tmp_path / "src" / "us.dcm", clip, "US", **elements)
    source = prepared(tmp_path, tmp_path / "src")
    masks = predict(tmp_path / "masks", source, {"": np.ones((10, 12, 4), bool)})
    options = ("--to", "dicom-seg", "--original", str(tmp_path / "src"))
    assert "4 frames in a DICOM file whose SOP class allows one" in failure(
        capsys, masks, tmp_path / "seg", source, *options
    )


def run_with_maps(tmp_path: Path, source: Path, maps: np.ndarray) -> Path:
    """A run's folder beside the stored results, as a run leaves both."""
    run = tmp_path / "outputs" / "runs" / "dev" / "1"
    (run / "uncertainty").mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps({"keys": {"saliency": "abc"}}))
    (record,) = read_record(source)
    root, digests = tmp_path / "outputs" / "artifacts", dict.fromkeys(record.slices, "0123456789ab")
    stored = StageArtifacts(root, "saliency", "abc", digests)
    for name, index in record.slices.items():
        plane = record.view.take(maps, index)
        stored.save(name, {}, plane)
        np.savez(run / "uncertainty" / f"{name}.npz", probability=plane, entropy=plane * 0)
    return run


@pytest.mark.parametrize("what", ["saliency", "probability"])
def test_maps_in_both_formats(tmp_path, what) -> None:
    source = prepared(tmp_path, dicom(tmp_path))
    maps = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    run = run_with_maps(tmp_path, source, maps)
    assert write(run, tmp_path / "nifti", source, "--to", "nifti", "--what", what) == 0
    image = nibabel.load(tmp_path / "nifti" / "p001_ct01.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert (np.asarray(image.dataobj) == maps).all()
    options = ("--to", "dicom-seg", "--what", what, "--original", str(tmp_path / "src"))
    assert write(run, tmp_path / "seg", source, *options) == 0
    found = pydicom.dcmread(tmp_path / "seg" / "p001_ct01.dcm")
    assert (found.SegmentationType, found.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    planes = planes_by_image(tmp_path / "seg" / "p001_ct01.dcm")
    (record,) = read_record(source)
    for k, (uid, _) in enumerate(record.source["images"]):
        np.testing.assert_allclose(planes[1, uid, 1] / 255, maps[:, :, k].T, atol=0.6 / 255)


def test_of_maps_for_several_texts_those_of_the_run_are_taken(tmp_path, capsys) -> None:
    source = prepared(tmp_path, dicom(tmp_path))
    run = tmp_path / "outputs" / "runs" / "dev" / "1"
    run.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps({"keys": {"saliency": "abc"}}))
    (record,) = read_record(source)
    root = tmp_path / "outputs" / "artifacts"
    (root / "saliency" / "abc").mkdir(parents=True)
    options = ("--to", "nifti", "--what", "saliency")
    assert write(run, tmp_path / "back", source, *options) == 1
    assert "no maps that this version can read" in capsys.readouterr().err
    for value, text in ((0.25, "a mass"), (0.5, "a cyst")):
        stored = StageArtifacts(root, "saliency", "abc", dict.fromkeys(record.slices, f"{value:.10f}"))
        for name, index in record.slices.items():
            plane = np.full_like(record.view.take(np.zeros(SHAPE, np.float32), index), value)
            info = {"texts": [text], "presence": 1.0, "peak_x": 0, "peak_y": 0, "relevance": {}}
            stored.save(name, info, plane)
    assert write(run, tmp_path / "back", source, *options) == 1
    assert "for several texts ('a mass', 'a cyst')" in capsys.readouterr().err
    rows = "".join(f"{name},a mass,coarse\n" for name in record.slices)
    (run / "per_image.csv").write_text(f"id,text,stage\n{rows}")
    assert write(run, tmp_path / "nifti", source, *options) == 0
    assert (np.asarray(nibabel.load(tmp_path / "nifti" / "p001_ct01.nii.gz").dataobj) == 0.25).all()


def failure(capsys: pytest.CaptureFixture[str], masks: Path, out: Path, source: Path, *options: str) -> str:
    assert write(masks, out, source, *options) == 1
    assert not out.exists() or not list(out.iterdir()) or out == source
    return capsys.readouterr().err


def test_bad_input_in_a_sentence(tmp_path, capsys) -> None:
    source = prepared(tmp_path, dicom(tmp_path))
    masks = predict(tmp_path / "masks", source, {"": np.ones(SHAPE, bool)})
    back, nifti = tmp_path / "back", ("--to", "nifti")
    assert "has no geometry.json" in failure(capsys, masks, back, masks, *nifti)
    assert "exists and is not an empty folder" in failure(capsys, masks, source, source, *nifti)
    assert "nowhere is not a folder" in failure(capsys, tmp_path / "nowhere", back, source, *nifti)
    assert "has no masks" in failure(capsys, tmp_path / "src", back, source, *nifti)
    assert "no finished run with saliency maps" in failure(
        capsys, masks, back, source, *nifti, "--what", "saliency"
    )
    assert "give their folder with --original" in failure(capsys, masks, back, source, "--to", "dicom-seg")
    options = ("--to", "dicom-seg", "--original", str(masks))
    assert "lacks 8 of the source images" in failure(capsys, masks, back, source, *options)
    assert "Not a directory" in failure(capsys, masks, source / "geometry.json" / "below", source, *nifti)
    assert write(masks, back, source, *nifti, "--type", "lesion") == 1
    assert "write CODE:SCHEME:MEANING" in capsys.readouterr().err

    Image.fromarray(np.zeros((5, 5), np.uint8)).save(masks / "p001_ct01_0003.png")
    assert "p001_ct01_0003 has 5 x 5 pixels, its slice 14 x 12" in failure(
        capsys, masks, back, source, *nifti
    )
    for path in masks.iterdir():
        path.rename(masks / f"other_{path.name}")
    assert "no prediction in" in failure(capsys, masks, back, source, *nifti)
    (source / "geometry.json").write_text('{"format": 1, "scans": [{"id": "a"}]}')
    assert "geometry.json is damaged" in failure(capsys, masks, back, source, *nifti)


def test_pictures_and_nifti_have_no_dicom_to_go_back_to(tmp_path, capsys) -> None:
    (tmp_path / "src").mkdir()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "src" / "a.png")
    source = prepared(tmp_path, tmp_path / "src")
    assert "names pictures only" in failure(capsys, tmp_path, tmp_path / "back", source, "--to", "nifti")
    nibabel.save(nibabel.Nifti1Image(scan(), np.eye(4)), tmp_path / "b.nii")
    assert prepare(["own", str(tmp_path / "b.nii"), str(tmp_path / "volume")]) == 0
    masks = predict(tmp_path / "masks", tmp_path / "volume", {"": np.ones(SHAPE, bool)})
    options = ("--to", "dicom-seg", "--original", str(tmp_path))
    sentence = failure(capsys, masks, tmp_path / "back", tmp_path / "volume", *options)
    assert "b was not made from DICOM" in sentence
