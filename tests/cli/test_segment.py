"""Folder in, folder out: what is written, what a second call computes, and the frame of volumes."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from medsam_exp.cli.segment.classes import asked_classes
from medsam_exp.cli.segment.inputs import gather
from medsam_exp.data.volumes.windowing import parse_window_level
from medsam_exp.types import UserError
from tests.command import command, refusal
from tests.data.volumes.synthetic import dicom_series, turned

main = command("segment")

FEW = ["saliency.steps=2", "saliency.noise_samples=1"]


def square(number: int) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 60, (40, 56), dtype=np.uint8)
    pixels[10:20, 10:30] += 150
    return pixels


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(square(number)).save(folder / f"s{number}.png")
    return folder


def rows_of(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "results.csv").open()))


def test_a_folder_of_images_becomes_a_folder_of_masks_and_a_second_call_computes_nothing(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (scans / "broken.png").write_text("no image")
    (scans / "s0_mask.png").write_bytes((scans / "s0.png").read_bytes())
    out = tmp_path / "out"
    given = ["-i", str(scans), "-o", str(out), *FEW, "--postprocess", "otsu", "--overlays", "--maps"]
    given += ["--text", "a bright square", "--text", "a dark, small square"]
    caplog.set_level("INFO")
    assert main(given) == 1, "one image is broken"
    said = capsys.readouterr()
    assert "broken.png cannot be read as an image" in said.err
    assert "1 files" in said.out
    assert "saliency" in caplog.text
    rows = rows_of(out)
    assert [row["image"] for row in rows] == ["s0", "s0", "s1", "s1"]
    masks = {}
    for row in rows:
        mask = masks[row["image"], row["class"]] = np.asarray(Image.open(out / row["mask"]))
        assert set(np.unique(mask)) <= {0, 255}
        assert int(row["area_px"]) == np.count_nonzero(mask)
        assert Image.open(out / "saliency" / row["class"] / f"{row['image']}.png").size == (56, 40)
    for name in ("s0", "s1"):
        both = [masks[name, "a_bright_square"] > 0, masks[name, "a_dark_small_square"] > 0]
        labels = np.asarray(Image.open(out / "labels" / f"{name}.png"))
        assert np.array_equal(labels > 0, both[0] | both[1])
        assert all(((labels == number) <= mask).all() for number, mask in enumerate(both, start=1))
        assert max(Image.open(out / "overlays" / f"{name}.png").size) == 1024
    assert json.loads((out / "labels.json").read_text())["a_dark_small_square"] == 2

    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    caplog.clear()
    assert main(given) == 1
    assert "done in" not in caplog.text, "every stage is stored"
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before


def test_a_volume_gets_masks_in_its_own_geometry(scans: Path, tmp_path: Path) -> None:
    affine = np.array([[0, -0.5, 0, 10], [0.7, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]], float)
    volume = np.stack([square(number).T for number in range(3)], axis=-1).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, affine), scans / "liver.nii.gz")
    out = tmp_path / "out"
    assert main(["-i", str(scans), "-o", str(out), "--text", "a bright square", *FEW]) == 0
    found = nibabel.load(out / "masks" / "liver.nii.gz")
    assert np.allclose(found.affine, affine)
    assert found.shape == volume.shape
    rows = [row for row in rows_of(out) if row["mask"].endswith("liver.nii.gz")]
    assert [row["image"] for row in rows] == ["liver_0000", "liver_0001", "liver_0002"]
    for place, row in enumerate(rows):
        assert int(row["area_px"]) == np.count_nonzero(found.get_fdata()[:, :, place])
        assert float(row["area_mm2"]) == pytest.approx(int(row["area_px"]) * 0.35, abs=0.01)


ORIGIN, SPACING = (10.0, -20.0, 5.0), (0.5, 0.7, 3.0)


def series(folder: Path, count: int = 4, **elements: object) -> np.ndarray:
    """A turned CT of (56, 40, COUNT) with the window [-200, 400] HU; its numbers in HU, by column, row and slice."""
    hounsfield = np.stack([square(number).T.astype(np.int16) * 4 - 300 for number in range(count)], axis=-1)
    asked = {"WindowCenter": 100, "WindowWidth": 600, "RescaleSlope": 2, **elements}
    dicom_series(folder, hounsfield // 2 + 512, turned((0.1, 0.2, 0.3)), SPACING, ORIGIN, **asked)
    return hounsfield


def by_place(folder: Path) -> list[Path]:
    normal = turned((0.1, 0.2, 0.3))[:, 2]
    return sorted(folder.glob("*.dcm"), key=lambda path: normal @ dcmread(path).ImagePositionPatient)


def test_a_dicom_series_gets_masks_in_the_scanners_frame(tmp_path: Path) -> None:
    """Slices are what PNG files of the same window are; the mask lies where the scanner says."""
    hounsfield = series(tmp_path / "scans" / "ct")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    by_the_standard = (hounsfield - 99.5) / 599 * 255 + 127.5  # DICOM PS3.3 C.11.2.1.2.1
    shown = np.rint(np.clip(by_the_standard, 0, 255)).astype(np.uint8)
    for place in range(4):
        Image.fromarray(shown[:, :, place].T).save(pictures / f"p{place}.png")
    text = ["--text", "a bright square", *FEW]
    out, flat = tmp_path / "out", tmp_path / "flat"
    assert main(["-i", str(tmp_path / "scans"), "-o", str(out), "--recursive", *text]) == 0
    assert main(["-i", str(pictures), "-o", str(flat), *text]) == 0
    found = nibabel.load(out / "masks" / "ct.nii.gz")
    masks = found.get_fdata()
    for place in range(4):
        plain = np.asarray(Image.open(flat / "masks" / f"p{place}.png")) > 0
        assert np.array_equal(masks[:, :, place].T > 0, plain)
        assert plain.any()
    in_ras = turned((0.1, 0.2, 0.3)) @ (np.array(SPACING) * [30, 20, 3]) + ORIGIN
    np.testing.assert_allclose(found.affine @ [30, 20, 3, 1], [*(in_ras * [-1, -1, 1]), 1], atol=1e-4)
    names = [path.name for path in by_place(tmp_path / "scans" / "ct")]
    assert [row["source"] for row in rows_of(out)] == [f"ct/{name}" for name in names]
    assert float(rows_of(out)[0]["area_mm2"]) == pytest.approx(
        int(rows_of(out)[0]["area_px"]) * 0.35, abs=0.01
    )


def test_a_folder_of_mixed_series_is_told_apart_and_what_is_incomplete_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for number, count in enumerate((4, 3, 5)):
        series(tmp_path / str(number), count, SeriesInstanceUID=f"1.2.3.{number}")
        slices = by_place(tmp_path / str(number))
        for path in slices if number < 2 else [*slices[:2], *slices[3:]]:
            path.rename(scans / f"series{number}_{path.name}")
    given = ["-o", str(out), "--text", "a bright square", *FEW]
    assert main(["-i", str(scans), *given]) == 1
    assert "lacks about 1 of 5 slices" in capsys.readouterr().err
    volumes = {row["source"].split("_")[0]: row["mask"] for row in rows_of(out)}
    assert sorted(volumes) == ["series0", "series1"]
    shapes = [nibabel.load(out / volumes[name]).shape for name in sorted(volumes)]
    assert shapes == [(56, 40, 4), (56, 40, 3)]
    for path in scans.glob("series[01]*"):
        path.unlink()
    assert "copy the series again" in refusal(capsys, ["segment", "-i", str(scans), *given])


def test_names_tell_files_of_several_folders_apart(scans: Path, tmp_path: Path) -> None:
    (scans / "left").mkdir()
    Image.fromarray(square(3)).save(scans / "left" / "s0.png")
    look = parse_window_level(None, None)
    found = gather([scans], tmp_path / "store", "acquired", look, recursive=True)
    assert sorted(found.pictures) == ["left_s0", "s0", "s1"]
    flat = gather([scans], tmp_path / "store", "acquired", look, recursive=False)
    assert sorted(flat.pictures) == ["s0", "s1"]
    with pytest.raises(UserError, match="no image was found"):
        gather([tmp_path], tmp_path / "store", "acquired", look, recursive=False)


def test_texts_are_classes_or_each_images_own(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text('class,text\nmass,"a dark mass, irregular"\ncyst,a round cyst\n')
    assert [one.name for one in asked_classes([], table)] == ["mass", "cyst"]
    assert asked_classes([], table)[0].options == ("text=free", "text.text='a dark mass, irregular'")
    table.write_text("filename,Caption\ns0.png,a mass\n")
    (own,) = asked_classes([], table)
    assert own.options[0] == "text=per_image"
    assert [one.name for one in asked_classes(["a mass"], None)] == [""]
    for texts, file in (([], None), (["a mass"], table), (["a mass", " A mass"], None), ([""], None)):
        with pytest.raises(UserError):
            asked_classes(texts, file)


def test_what_cannot_work_is_one_sentence(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no image is named" in refusal(capsys, ["segment", "seed=1", "--text", "x"])
    assert "say what to find" in refusal(capsys, ["segment", str(scans)])
    nowhere = ["segment", "-i", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out"), "--text", "x"]
    assert "does not exist" in refusal(capsys, nowhere)


def test_help_lists_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "kmeans_released" in said
    assert "not a medical device" in said
