"""From a DICOM series and a NIfTI volume through a whole run, and back into their frames."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.data.volumes.scan import read_record
from medsam_exp.types import UserError
from tests.command import command
from tests.compose import composed
from tests.data.volumes.synthetic import dicom_series, turned

prepare, write_back = command("prepare"), command("write-back")

SHAPE = (32, 28, 4)
SPACING = (0.9, 0.7, 3.0)


def scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(I, J, K) int16 with a bright box, and the box."""
    box = np.zeros(SHAPE, np.uint8)
    box[8:20, 10:22] = 1
    return (np.random.default_rng(seed).integers(900, 1000, SHAPE) + 300 * box.astype(int)).astype(
        np.int16
    ), box


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A series with a mask in another frame beside it, and a volume on turned axes with one in its own."""
    (tmp_path / "src" / "case").mkdir(parents=True)
    values, box = scan(0)
    rotation, affine = turned([0.1, 0.2, 0.0]), np.eye(4)
    dicom_series(
        tmp_path / "src" / "case", values, rotation, SPACING, (5, 6, 7), WindowCenter=0, WindowWidth=600
    )
    affine[:3, :3], affine[:3, 3] = rotation * np.array(SPACING), (5, 6, 7)
    mask = nibabel.Nifti1Image(box, np.diag([-1, -1, 1, 1]) @ affine)
    nibabel.save(nibabel.as_closest_canonical(mask), tmp_path / "src" / "case" / "seg.nii.gz")
    turns = np.array([[0, 2.0, 0, 1], [0, 0, -3, 2], [-1.5, 0, 0, 3], [0, 0, 0, 1]])
    for name, values in zip(("head", "head_mask"), scan(1), strict=True):
        nibabel.save(nibabel.Nifti1Image(values, turns), tmp_path / "src" / f"{name}.nii.gz")
    return tmp_path / "src"


def test_there_and_back(tmp_path: Path, source: Path) -> None:
    prepared, run_dir = tmp_path / "prepared", tmp_path / "outputs" / "runs" / "dev" / "1"
    assert prepare(["own", str(source), str(prepared), "--every", "2"]) == 0
    run_dir.mkdir(parents=True)
    options = [
        "data=folder",
        f"data.root={prepared}",
        "data.spacing_mm=index.csv",
        "metrics.tolerance_unit=mm",
        "text=free",
        "text.text=a bright box",
        *(
            "clip=tiny_random",
            "sam=tiny_scratch",
            "saliency.steps=2",
            "saliency.noise_samples=1",
            "report_cases=1",
        ),
        f"paths.outputs={tmp_path / 'outputs'}",
    ]
    run(composed(*options), run_dir, {}, options)
    with (run_dir / "per_image.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "coarse"]
    assert len(rows) == 4
    assert all(float(row["hd95_mm"]) >= 0 for row in rows)
    assert json.loads((run_dir / "summary.json").read_text())["nsd_tolerance"].endswith("mm")

    back = [str(run_dir), "--source", str(prepared), "--to", "nifti"]
    assert write_back([*back, str(tmp_path / "masks")]) == 0
    assert write_back([*back, str(tmp_path / "maps"), "--what", "saliency"]) == 0
    for record in read_record(prepared):
        found = np.asarray(nibabel.load(tmp_path / "masks" / f"{record.id}.nii.gz").dataobj)
        maps = np.asarray(nibabel.load(tmp_path / "maps" / f"{record.id}.nii.gz").dataobj)
        assert found.shape == maps.shape == SHAPE
        assert maps.any()
        for name, index in record.slices.items():
            with Image.open(run_dir / "masks" / f"{name}.png") as mask:
                assert (record.view.take(found, index) * 255 == np.asarray(mask)).all()
    head = nibabel.load(tmp_path / "masks" / "head.nii.gz")
    assert (head.affine == nibabel.load(source / "head.nii.gz").affine).all()
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source / "case")))
    series, case = reader.Execute(), SimpleITK.ReadImage(str(tmp_path / "masks" / "p001_ct01.nii.gz"))
    np.testing.assert_allclose(case.GetOrigin(), series.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(case.GetDirection(), series.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(case.GetSpacing(), series.GetSpacing(), atol=1e-6)


def test_unknown_pixel_sizes_are_found_before_anything_is_computed(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "data" / f"test_{kind}").mkdir(parents=True)
        for name in "ab":
            Image.fromarray(scan(0)[1][:, :, 0] * 255).save(
                tmp_path / "data" / f"test_{kind}" / f"{name}.png"
            )
    (tmp_path / "data" / "index.csv").write_text(
        "name,split,spacing_row_mm,spacing_column_mm\na,test,1,1\nb,test,,\n"
    )
    (tmp_path / "run").mkdir()
    options = ["data=folder", f"data.root={tmp_path / 'data'}", "data.spacing_mm=index.csv"]
    options += ["metrics.tolerance_unit=mm", "text=free", "text.text=x", f"paths.outputs={tmp_path}"]
    with pytest.raises(UserError, match=r"the size of a pixel is unknown for 1 of 2 images \(first: b\)"):
        run(composed(*options), tmp_path / "run", {}, options)
    assert not (tmp_path / "artifacts" / "saliency").exists()
