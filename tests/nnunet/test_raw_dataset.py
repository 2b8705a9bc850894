"""Raw datasets: what is read back is what was given, and nnU-Net itself plans and preprocesses it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.nnunet.environment import in_process_pools
from medsam_exp.nnunet.raw_dataset import Case, RawDataset, write_raw_dataset
from medsam_exp.types import UserError
from tests.nnunet.cases import NASTY, gray_case


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def _coloured(name: str) -> Case:
    case = gray_case(name, seed=9)
    image = case.image.copy()
    image[0, 0] = (1, 2, 3)
    return Case(name, image, case.label)


def test_gray_images_become_one_channel_and_labels_stay_exact(write) -> None:
    cases = [gray_case(f"scan {seed}", seed, size=(30 + seed, 50)) for seed in range(3)]
    dataset: RawDataset = write(iter(cases))
    assert dataset.channels == ("gray",)
    by_id = {case.id: case for case in cases}
    assert sorted(dataset.case_ids.values()) == sorted(by_id)
    for name, sample_id in dataset.case_ids.items():
        image, label = _pixels(dataset.image_file(name)), _pixels(dataset.label_file(name))
        assert image.dtype == label.dtype == np.uint8
        np.testing.assert_array_equal(image, by_id[sample_id].image[..., 0])
        np.testing.assert_array_equal(label, by_id[sample_id].label)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_coloured_image_makes_all_of_them_coloured(write, place: int) -> None:
    cases = [gray_case("a", 1), gray_case("b", 2)]
    cases.insert(place, _coloured("c"))
    dataset = write(iter(cases))
    assert dataset.channels == ("R", "G", "B")
    for case in cases:
        name = next(name for name, sample_id in dataset.case_ids.items() if sample_id == case.id)
        np.testing.assert_array_equal(_pixels(dataset.image_file(name)), case.image)
        np.testing.assert_array_equal(_pixels(dataset.label_file(name)), case.label)


def test_dataset_json_says_what_nnunet_asks_for(write) -> None:
    dataset = write([gray_case("a"), gray_case("b", 1)], {"background": 0, "lung": 1, "heart": 2})
    facts = json.loads((dataset.folder / "dataset.json").read_text())
    assert dataset.folder.name == "Dataset001_Toy"
    assert facts["channel_names"] == {"0": "gray"}
    assert facts["labels"] == {"background": 0, "lung": 1, "heart": 2}
    assert facts["numTraining"] == 2
    assert facts["file_ending"] == ".png"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("busi", "Dataset001_Busi"), ("lung x-ray (v2)", "Dataset001_LungXRayV2"), ("肺", "Dataset001_Data")],
)
def test_the_folder_has_a_name_that_nnunet_takes(tmp_path: Path, name: str, folder: str) -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    dataset = write_raw_dataset(tmp_path, name, [gray_case("a")], {"background": 0, "tumor": 1})
    assert dataset.folder == tmp_path / "nnUNet_raw" / folder


def test_the_order_of_cases_changes_nothing(write) -> None:
    cases = [gray_case(name, seed) for seed, name in enumerate(NASTY)]
    first = write(cases)
    files = {path.name: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    second = write(cases[::-1])
    assert files == {path.name: path.read_bytes() for path in second.folder.rglob("*") if path.is_file()}
    assert list(first.case_ids.items()) == list(second.case_ids.items())


def test_the_ids_of_the_cases_lie_beside_them(write) -> None:
    written = write([gray_case(name, seed) for seed, name in enumerate(NASTY)])
    assert json.loads((written.folder / "cases.json").read_text()) == written.case_ids
    assert set(written.case_ids.values()) == set(NASTY)


def test_cases_are_not_held_in_memory(write) -> None:
    """Each image is dropped before the third after it is asked for."""
    import weakref

    alive: list[weakref.ref] = []

    def cases():
        for seed in range(20):
            assert sum(reference() is not None for reference in alive) <= 2
            case = gray_case(f"case {seed}", seed)
            alive.append(weakref.ref(case.image))
            yield case

    write(cases())


def test_a_writer_that_dies_leaves_no_dataset(tmp_path: Path, write) -> None:
    def cut_off():
        yield gray_case("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(cut_off())
    assert list((tmp_path / "nnUNet_raw").iterdir()) == []


def test_a_killed_writer_leaves_no_dataset(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import os, sys, pathlib; from tests.nnunet.cases import gray_case\n"
        "from medsam_exp.nnunet.raw_dataset import write_raw_dataset\n"
        "def cases():\n  yield gray_case('a')\n  os.kill(os.getpid(), 9)\n"
        "write_raw_dataset(pathlib.Path(sys.argv[1]), 'toy', cases(), {'background': 0, 'tumor': 1})"
    )
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, cwd=root)
    assert killed.returncode == -9
    assert all(path.name.startswith(".") for path in (tmp_path / "nnUNet_raw").iterdir())
    dataset = write_raw_dataset(tmp_path, "toy", [gray_case("a")], {"background": 0, "tumor": 1})
    assert list(dataset.case_ids.values()) == ["a"]
    assert dataset.folder.is_dir()


def test_a_failed_rewrite_keeps_the_old_dataset_and_a_finished_one_replaces_it(tmp_path: Path, write) -> None:
    old = write([gray_case("old")])
    with pytest.raises(UserError, match="no image to train on for toy"):
        write(iter(()))
    assert [path.name for path in (old.folder / "labelsTr").iterdir()] == [f"{next(iter(old.case_ids))}.png"]
    new = write([gray_case("new"), gray_case("newer", 1)])
    assert new.folder == old.folder
    assert len(list((new.folder / "imagesTr").iterdir())) == 2
    assert [path.name for path in (tmp_path / "nnUNet_raw").iterdir()] == ["Dataset001_Toy"]


def test_one_id_twice_is_refused(write) -> None:
    with pytest.raises(UserError, match="scan 1 comes twice"):
        write([gray_case("scan 1"), gray_case("scan 1", 1)])


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8)),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), bool)),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)),
        (np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.uint8)),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(write, image: np.ndarray, label: np.ndarray) -> None:
    with pytest.raises(ValueError, match=re.escape("of odd is")):
        write([Case("odd", image, label)])


def test_nnunet_plans_and_preprocesses_cases_of_nasty_names(nnunet_environment: Path, write) -> None:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    dataset = write([gray_case(name, seed, classes=2) for seed, name in enumerate(NASTY)], _TWO)
    with in_process_pools(0):
        extract_fingerprints([1], check_dataset_integrity=True)
        plan_experiments([1])
        preprocess([1], configurations=("2d",), num_processes=(1,))
    made = nnunet_environment / "nnUNet_preprocessed" / dataset.folder.name / "nnUNetPlans_2d"
    assert {path.stem for path in made.glob("*.pkl")} == set(dataset.case_ids)


_TWO = {"background": 0, "lung": 1, "heart": 2}
