"""Every way to spoil a raw dataset is one sentence with case, file, values and remedy; nothing is printed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.nnunet.raw_dataset import Case, RawDataset
from medsam_exp.nnunet.verify import verify
from medsam_exp.types import UserError
from tests.nnunet.cases import gray_case


def _name(dataset: RawDataset, sample_id: str) -> str:
    return next(name for name, known in dataset.case_ids.items() if known == sample_id)


def _relabel(dataset: RawDataset, sample_id: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    file = dataset.label_file(_name(dataset, sample_id))
    with Image.open(file) as image:
        label = np.asarray(image)
    Image.fromarray(change(label)).save(file)
    return file


def _complaint(dataset: RawDataset, tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        verify(dataset, tmp_path / "logs" / "verify.log")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def dataset(write) -> RawDataset:
    return write([gray_case(f"scan ({seed})", seed) for seed in range(3)])


def test_a_sound_dataset_passes_in_silence(dataset, tmp_path, capfd) -> None:
    verify(dataset, tmp_path / "logs" / "verify.log")
    assert capfd.readouterr() == ("", "")
    assert "verify_dataset_integrity Done" in (tmp_path / "logs" / "verify.log").read_text()


def test_a_coloured_dataset_and_several_classes_pass(write, tmp_path) -> None:
    case = gray_case("a", classes=3)
    coloured = Case(
        "b", np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8), case.label[:20, :30]
    )
    dataset = write([case, coloured], {"background": 0, "lung": 1, "heart": 2, "rib": 3})
    verify(dataset, tmp_path / "verify.log")


def test_some_empty_labels_pass(write, tmp_path) -> None:
    empty = Case("empty", gray_case("empty").image, np.zeros((48, 40), np.uint8))
    verify(write([gray_case("a"), empty]), tmp_path / "verify.log")


def test_the_label_value_255(dataset, tmp_path) -> None:
    file = _relabel(dataset, "scan (1)", lambda label: label * 255)
    said = _complaint(dataset, tmp_path)
    assert f"scan (1) has pixels of the value 255 ({file}), but labels go from 0 to 1" in said
    assert "write 0 for background and 1 for the target" in said
    assert "scan (0)" not in said


def test_a_label_of_another_size(dataset, tmp_path) -> None:
    _relabel(dataset, "scan (2)", lambda label: label[:-5])
    said = _complaint(dataset, tmp_path)
    assert "scan (2) has an image of 40 x 48 and a label of 40 x 43 pixels" in said
    assert "give the label the image's size" in said


def test_all_faulty_cases_are_named_at_once(dataset, tmp_path) -> None:
    _relabel(dataset, "scan (0)", lambda label: label * 7)
    _relabel(dataset, "scan (1)", lambda label: label[3:])
    dataset.label_file(_name(dataset, "scan (2)")).write_bytes(b"no image")
    said = _complaint(dataset, tmp_path)
    assert all(f"scan ({number})" in said for number in range(3))
    assert "value 7" in said
    assert "cannot be read as an image" in said


def test_long_lists_are_cut(write, tmp_path) -> None:
    dataset = write([gray_case(f"scan {seed}", seed) for seed in range(13)])
    for sample_id in dataset.case_ids.values():
        _relabel(
            dataset, sample_id, lambda label: np.arange(label.size).reshape(label.shape).astype(np.uint8)
        )
    said = _complaint(dataset, tmp_path)
    assert said.endswith("; and 3 more")
    assert "value 2, 3, 4, 5, 6 and 249 more (" in said


def test_a_missing_label(dataset, tmp_path) -> None:
    dataset.label_file(_name(dataset, "scan (1)")).unlink()
    assert f"scan (1): {dataset.folder / 'labelsTr'}" in _complaint(dataset, tmp_path)


def test_a_missing_image(dataset, tmp_path) -> None:
    dataset.image_file(_name(dataset, "scan (1)")).unlink()
    assert f"scan (1): {dataset.folder / 'imagesTr'}" in _complaint(dataset, tmp_path)


def test_an_image_with_other_channels(dataset, tmp_path) -> None:
    file = dataset.image_file(_name(dataset, "scan (1)"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 40, 3)).astype(np.uint8)).save(file)
    assert "scan (1) has 3 channels where dataset.json promises 1" in _complaint(dataset, tmp_path)


def test_labels_that_are_all_empty(write, tmp_path) -> None:
    cases = [Case(name, gray_case(name).image, np.zeros((48, 40), np.uint8)) for name in ("a", "b")]
    assert "all 2 labels are empty" in _complaint(write(cases), tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": {"background": 0, "lung": 1, "heart": 3}}, "Labels must be in consecutive order"),
        ({"numTraining": 4}, "Did not find the expected number of training cases"),
    ],
)
def test_a_wrong_description(dataset, tmp_path, change: dict[str, object], said: str) -> None:
    file = dataset.folder / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert f"nnU-Net refuses it ({said}" in _complaint(dataset, tmp_path)


def test_what_only_nnunet_finds_is_passed_on(dataset, tmp_path, monkeypatch) -> None:
    import nnunetv2.experiment_planning.verify_dataset_integrity as module

    def refuse(folder: str, num_processes: int) -> None:
        raise AssertionError("orientations\ndiffer")

    monkeypatch.setattr(module, "verify_dataset_integrity", refuse)
    assert "nnU-Net refuses it (orientations differ), see" in _complaint(dataset, tmp_path)


def test_unknown_pixels_pass_and_teach_nothing_alone(write, tmp_path) -> None:
    labels = {"background": 0, "tumor": 1, "ignore": 2}
    cases = [gray_case(f"scan {seed}", seed) for seed in range(2)]
    unknown = [Case(case.id, case.image, case.label * 2) for case in cases]
    verify(write([cases[0], unknown[1]], labels), tmp_path / "log")
    assert "all 2 labels are empty, so there is nothing to learn" in _complaint(
        write(unknown, labels), tmp_path
    )


def test_a_value_beyond_the_unknown_is_named(write, tmp_path) -> None:
    found = write([gray_case("scan", 0)], {"background": 0, "tumor": 1, "ignore": 2})
    _relabel(found, "scan", lambda label: label * 3)
    assert "has pixels of the value 3" in _complaint(found, tmp_path)
