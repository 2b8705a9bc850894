"""Masks in folders: every measure against brute force, volumes by slice, paired tests by patient."""

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.evaluate.scores import evaluate_masks
from medsam_exp.cli.main import main
from medsam_exp.types import UserError


def save(folder: Path, name: str, mask: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")


def drawn(number: int) -> np.ndarray:
    return np.random.default_rng(number).random((12, 15)) < 0.4


def test_two_folders_are_scored_and_compared_by_patient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, a, b = (tmp_path / name for name in ("truth", "a", "b"))
    for number in range(12):
        name = f"p{number // 2}_{number % 2}"
        for place, folder in enumerate((truth, a, b)):
            save(folder, name, drawn(10 * number + place))
    found = evaluate_masks([a, b], truth, patient=r"^(p\d+)_")
    for folder, place in ((a, 1), (b, 2)):
        for number in range(12):
            mask, true = drawn(10 * number + place), drawn(10 * number)
            expected = 2 * (mask & true).sum() / (mask.sum() + true.sum())
            scores = found["scores"][str(folder)][f"p{number // 2}_{number % 2}"]
            assert scores["dsc"] == pytest.approx(expected)
            assert scores["recall"] == pytest.approx((mask & true).sum() / true.sum())
    assert found["summary"][str(a)]["dsc"]["patients"] == 6
    mean = {folder: found["summary"][str(folder)]["dsc"]["mean"] for folder in (a, b)}
    assert found["paired"]["dsc"]["difference"] == pytest.approx(mean[b] - mean[a])
    assert found["paired"]["dsc"]["patients"] == 6
    out = tmp_path / "scores.csv"
    assert not main(["evaluate", "-p", str(a), "-p", str(b), "-t", str(truth), "--out", str(out)])
    assert "Wilcoxon" in capsys.readouterr().out
    assert len(list(csv.DictReader(out.open()))) == 24


def test_volumes_go_by_slice_without_those_that_are_empty_in_both(tmp_path: Path) -> None:
    for place, folder in enumerate(("truth", "a")):
        (tmp_path / folder).mkdir()
        masks = np.stack([drawn(place), np.zeros((12, 15), bool), drawn(place + 5)], axis=-1)
        image = nibabel.Nifti1Image(masks.astype(np.uint8), np.diag([0.5, 0.7, 3, 1]))
        nibabel.save(image, tmp_path / folder / "liver.nii.gz")
    found = evaluate_masks([tmp_path / "a"], tmp_path / "truth")
    scores = found["scores"][str(tmp_path / "a")]
    assert list(scores) == ["liver_0000", "liver_0002"]
    assert "hd95_mm" in scores["liver_0000"]
    assert found["patients"]["liver_0000"] == "liver"


def test_what_cannot_be_paired_is_one_sentence(tmp_path: Path) -> None:
    save(tmp_path / "truth", "x", drawn(0))
    save(tmp_path / "a", "y", drawn(0))
    save(tmp_path / "b", "x", drawn(0)[:5])
    with pytest.raises(UserError, match="has no mask for 1 of 1"):
        evaluate_masks([tmp_path / "a"], tmp_path / "truth")
    with pytest.raises(UserError, match="both must have the image's size"):
        evaluate_masks([tmp_path / "b"], tmp_path / "truth")
    with pytest.raises(UserError, match="is not a folder"):
        evaluate_masks([tmp_path / "nowhere"], tmp_path / "truth")


def test_a_table_names_the_patients_as_any_table_of_the_project_is_read(tmp_path: Path) -> None:
    for folder in ("truth", "a"):
        for name in ("x", "y", "z"):
            save(tmp_path / folder, name, drawn(0))
    table = tmp_path / "patients.csv"
    table.write_text("Name;Patient\nx;1\ny;1\nz;\n")
    known = evaluate_masks([tmp_path / "a"], tmp_path / "truth", patients=table)["patients"]
    assert known == {"x": "1", "y": "1", "z": None}
    table.write_text("name,case\nx,1\n")
    with pytest.raises(UserError, match=r"has no column 'patient'.*--patients"):
        evaluate_masks([tmp_path / "a"], tmp_path / "truth", patients=table)
