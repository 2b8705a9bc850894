"""Benchmarks that others publish: each real format in small, what it becomes, and what a wrong one says."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.config.build import build
from medsam_exp.curation.prepare.npz import open_npz
from medsam_exp.runtime import limits
from medsam_exp.types import UserError
from tests.compose import composed
from tests.curation.prepare import miniatures
from tests.curation.prepare.miniatures import blob, index, prepared, refused, scan


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def texts_of(out: Path, data: str, column: str = "text") -> dict[str, tuple[str, ...]]:
    """What the shipped configuration gives CLIP, by sample."""
    config = composed(f"data={data}", f"data.root={out}", "text=index", f"text.text_column={column}")
    dataset = build(config.data)
    assert dataset.has_ground_truth
    found: dict[str, tuple[str, ...]] = build(config.text).bind(dataset.samples)
    return found


def test_biomedparse_has_a_sample_for_each_target(tmp_path: Path) -> None:
    out = prepared("biomedparse", miniatures.biomedparse(tmp_path / "raw"), tmp_path / "out")
    rows = index(out)
    assert {name: (row["split"], row["class"], row["text"]) for name, row in rows.items()} == {
        "benign_1_ultrasound_breast_benign_tumor": (
            "train",
            "benign tumor",
            "benign tumor in breast ultrasound",
        ),
        "malignant_2_ultrasound_breast_malignant_tumor": (
            *("test", "malignant tumor", "malignant tumor in breast ultrasound"),
        ),
        "amos_0004_3_CT_abdomen_liver": ("test", "liver", "liver in abdomen CT"),
        "amos_0004_3_CT_abdomen_left_kidney": ("test", "left kidney", "left kidney in abdomen CT"),
    }
    liver, kidney = "amos_0004_3_CT_abdomen_liver", "amos_0004_3_CT_abdomen_left_kidney"
    assert (
        rows[liver]["group"]
        == rows[kidney]["group"]
        != rows["benign_1_ultrasound_breast_benign_tumor"]["group"]
    )
    np.testing.assert_array_equal(pixels(out / f"test_images/{liver}.png"), scan(2))
    np.testing.assert_array_equal(pixels(out / f"test_images/{kidney}.png"), scan(2))
    np.testing.assert_array_equal(
        pixels(out / f"test_masks/{kidney}.png"), blob(2 + len("left+kidney")) * 255
    )
    assert texts_of(out, "biomedparse")[kidney] == ("left kidney in abdomen CT",)


def test_biomedparse_says_what_has_no_counterpart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.biomedparse(tmp_path / "raw")
    (raw / "BreastUS/train/benign_1_ultrasound_breast.png").unlink()
    (raw / "amos22/CT/test_mask/amos_0004_3_CT_abdomen_liver.png").rename(raw / "x.png")
    (raw / "amos22/CT/test_mask/amos_0004_3_CT_abdomen_left+kidney.png").rename(raw / "y.png")
    prepared("biomedparse", raw, tmp_path / "out")
    said = capsys.readouterr().out
    assert "masks without an image, left out: 1 (first: BreastUS/train_mask/benign_1" in said
    assert "images without a mask, left out: 1 (first: amos22/CT/test/amos_0004" in said


@pytest.mark.parametrize("packed", ["file", "folder"])
def test_medsegbench_keeps_the_publishers_split(
    packed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = miniatures.medsegbench(tmp_path / "raw")
    out = prepared("medsegbench", raw / "busi_128.npz" if packed == "file" else raw, tmp_path / "out")
    said = capsys.readouterr().out
    assert "data=medsegbench data.modality=ultrasound" in said
    assert "breast tumor" in said
    assert {name: row["split"] for name, row in index(out).items()} == {
        **{f"busi_train_{number:05d}": "train" for number in range(3)},
        "busi_val_00000": "val",
        **{f"busi_test_{number:05d}": "test" for number in range(2)},
    }
    np.testing.assert_array_equal(pixels(out / "test_images/busi_test_00001.png"), scan(21))
    np.testing.assert_array_equal(pixels(out / "test_masks/busi_test_00001.png"), blob(21) * 255)


def test_medsegbench_takes_a_subset(tmp_path: Path) -> None:
    raw = miniatures.medsegbench(tmp_path / "raw")
    out = prepared("medsegbench", raw, tmp_path / "out", "--category", "C1")
    assert list(index(out)) == ["busi_c1_test_00000", "busi_c1_train_00000", "busi_c1_val_00000"]


def test_medsegbench_keeps_several_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.medsegbench(tmp_path / "raw", "fhpsaop_256.npz", several=True)
    out = prepared("medsegbench", raw, tmp_path / "out")
    said = capsys.readouterr().out
    assert 'data.classes="{pubic symphysis: [1], fetal head: [2]}"' in said
    assert said.rstrip().endswith("text=subtype_name")
    config = composed(
        "data=medsegbench", f"data.root={out}", "data.classes={pubic symphysis: [1], fetal head: [2]}"
    )
    dataset = build(config.data)
    truth = blob(20)
    right = np.arange(32) > 16
    np.testing.assert_array_equal(
        dataset.read_ground_truth("fhpsaop_test_00000@pubic symphysis"), truth & ~right
    )
    np.testing.assert_array_equal(dataset.read_ground_truth("fhpsaop_test_00000@fetal head"), truth & right)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": np.zeros(3)}, "has no arrays such as train_images with train_label (it has a)"),
        (
            {"test_images": np.zeros((2, 8, 8), np.uint8), "test_label": np.zeros((3, 8, 8), np.uint8)},
            "test_images is of (2, 8, 8), test_label of (3, 8, 8)",
        ),
        (
            {"test_images": np.zeros((2, 8, 8)), "test_label": np.zeros((2, 8, 8), np.uint8)},
            "test_images is float64 of (2, 8, 8), no stack of pictures",
        ),
        (
            {"test_images": np.array([{}]), "test_label": np.zeros((1, 8, 8), np.uint8)},
            "test_images holds Python objects, which could run code, and is not read",
        ),
    ],
)
def test_a_wrong_npz_is_said(
    arrays: dict[str, np.ndarray], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "busi_128.npz", **arrays)
    assert said in refused(capsys, "medsegbench", tmp_path / "busi_128.npz", tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 100, -40])
def test_a_damaged_npz_is_said(keep: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = miniatures.medsegbench(tmp_path / "raw") / "busi_128.npz"
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    said = refused(capsys, "medsegbench", path, tmp_path / "out")
    assert "busi_128.npz cannot be read as an .npz file" in said
    at = data.index(b"test_images") + 80
    path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    assert "cannot be read" in refused(capsys, "medsegbench", path, tmp_path / "out")


class Harmful:
    """What a pickle of a stranger may hold."""

    def __reduce__(self) -> object:
        return print, ("run",)


def test_no_pickle_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", text_prompts={"1": Harmful()})
    with (
        open_npz(tmp_path / "a.npz", "a.npz") as arrays,
        pytest.raises(UserError, match=r"asks for builtins\.print, which was not run"),
    ):
        arrays.plain("text_prompts")
    assert capsys.readouterr().out == ""


def test_medclipseg_keeps_texts_and_those_that_test_robustness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = prepared("medclipseg", miniatures.medclipseg(tmp_path / "raw"), tmp_path / "out")
    assert (
        "images that no list names, left out: 1 (first: BUSI/Test_Folder/img/unnamed.png)"
        in capsys.readouterr().out
    )
    rows = index(out)
    assert {name: (row["split"], row["text"], row["text_contradictory"]) for name, row in rows.items()} == {
        "000001": ("train", "A tumor, number 0.", ""),
        "000002": ("val", "A tumor, number 1.", ""),
        "000003": ("test", "A tumor, number 2.", "A tumor, number 2."),
        "7": ("test", "A tumor, number 3.", "Nothing is there."),
    }
    np.testing.assert_array_equal(pixels(out / "test_masks/7.png"), blob(3) * 255)
    assert texts_of(out, "medclipseg")["7"] == ("A tumor, number 3.",)


def test_medclipseg_reads_one_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.medclipseg(miniatures.medclipseg(tmp_path / "raw"), "UDIAT")
    assert "has 2 sets (BUSI, UDIAT): choose one with --set" in refused(
        capsys, "medclipseg", raw, tmp_path / "x"
    )
    assert "no set ISIC (BUSI, UDIAT are there)" in refused(
        capsys, "medclipseg", raw, tmp_path / "x", "--set", "ISIC"
    )
    several = prepared("medclipseg", raw, tmp_path / "a", "--set", "udiat")
    alone = prepared("medclipseg", raw / "UDIAT", tmp_path / "b")
    assert [row["text"] for row in index(several).values()] == [row["text"] for row in index(alone).values()]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [("Image", "Text", "Ground Truth")],
            "has no column 'Description' (it has Image, Text, Ground Truth)",
        ),
        (
            [("Image", "Description", "Ground Truth"), ("a.png", "", "a.png")],
            "without image, mask or text (image 'a.png')",
        ),
        ([("Image", "Description", "Ground Truth"), ("a.png", "x", "a.png")], "no Test_Folder/img/a.png"),
        (
            [("Image", "Description", "Ground Truth"), ("7.png", "x", "7.png"), ("7.png", "y", "7.png")],
            "names 7.png twice with other texts or masks: keep one row",
        ),
    ],
)
def test_a_wrong_list_is_said(
    rows: list[tuple[str, ...]], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = miniatures.medclipseg(tmp_path / "raw")
    miniatures.workbook(raw / "BUSI/Prompts_Folder/Test_text_original.xlsx", rows)
    assert said in refused(capsys, "medclipseg", raw, tmp_path / "out")


def test_volumes_become_slices_with_texts(tmp_path: Path) -> None:
    out = prepared(
        "cvpr_text_3d", miniatures.cvpr_text_3d(tmp_path / "raw"), tmp_path / "out", "--spacing", "zyx"
    )
    rows = index(out)
    assert {name: (row["group"], row["text"]) for name, row in rows.items()} == {
        "CT_a_0000_1": ("CT_a", "Liver in abdominal CT"),
        "CT_a_0001_1": ("CT_a", "Liver in abdominal CT"),
        "CT_a_0002_5": ("CT_a", "A tumor of the liver"),
        **{f"MIC_b_{z:04d}_1": ("MIC_b", "cell nuclei") for z in range(3)},
    }
    assert {(row["spacing_row_mm"], row["spacing_column_mm"]) for row in rows.values()} == {("0.5", "0.75")}
    np.testing.assert_array_equal(pixels(out / "test_images/CT_a_0002_5.png"), scan(2))
    np.testing.assert_array_equal(pixels(out / "test_masks/CT_a_0002_5.png"), blob(2) * 255)
    np.testing.assert_array_equal(pixels(out / "test_masks/MIC_b_0002_1.png"), blob(2) * 255)
    assert texts_of(out, "cvpr_text_3d")["CT_a_0002_5"] == ("A tumor of the liver",)


def test_slices_without_the_target_are_asked_for(tmp_path: Path) -> None:
    raw = miniatures.cvpr_text_3d(tmp_path / "raw")
    rows = index(prepared("cvpr_text_3d", raw, tmp_path / "out", "--empty", "2", "--spacing", "xyz"))
    assert {name for name in rows if name.startswith("CT_a")} == {
        *("CT_a_0000_1", "CT_a_0000_5", "CT_a_0001_1", "CT_a_0002_1", "CT_a_0002_5"),
    }
    assert not pixels(tmp_path / "out/test_masks/CT_a_0000_5.png").any()
    assert {(row["spacing_row_mm"], row["spacing_column_mm"]) for row in rows.values()} == {("0.5", "3")}
    few = index(prepared("cvpr_text_3d", raw, tmp_path / "few", "--every", "2"))
    assert {name for name in few if name.startswith("CT_a")} == {"CT_a_0000_1", "CT_a_0002_5"}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"instance_label": 0}, "text_prompts has 0 sentences"),
        ({"1": "a", "2": "b", "instance_label": 1}, "text_prompts has 2 sentences of instances"),
        ({"liver": "a"}, "text_prompts has 'liver': 'a', where a label and a sentence are expected"),
        ("a", "text_prompts is no dictionary of labels"),
    ],
)
def test_wrong_texts_are_said(
    texts: object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = np.zeros((2, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", imgs=volume, gts=volume, text_prompts=np.array(texts, dtype=object))
    assert said in refused(capsys, "cvpr_text_3d", tmp_path, tmp_path.parent / f"{tmp_path.name}_out")


def test_a_faulty_volume_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.cvpr_text_3d(tmp_path / "raw")
    np.savez(raw / "XR_c.npz", imgs=np.zeros((2, 8, 8), np.uint8), text_prompts={"1": "a"})
    assert "XR_c.npz has no array gts (it has imgs, text_prompts)" in refused(
        capsys, "cvpr_text_3d", raw, tmp_path / "o"
    )
    out = prepared("cvpr_text_3d", raw, tmp_path / "out", "--skip-faulty")
    assert "left out: " in capsys.readouterr().out
    with (out / "index.csv").open(newline="") as file:
        assert {row["group"] for row in csv.DictReader(file)} == {"CT_a", "MIC_b"}


@pytest.mark.parametrize(
    ("name", "draw", "limit"),
    [
        ("medsegbench", miniatures.medsegbench, "unpacked_gib"),
        ("cvpr_text_3d", miniatures.cvpr_text_3d, "volume_mib"),
    ],
)
def test_what_is_beyond_a_limit_is_said_before_it_is_read(  # type: ignore[no-untyped-def]
    name: str,
    draw,
    limit: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(limits, "_in_force", [replace(limits.limits(), **{limit: 1e-6})])
    assert f"more than limits.{limit}=1e-06" in refused(
        capsys, name, draw(tmp_path / "raw"), tmp_path / "out"
    )
