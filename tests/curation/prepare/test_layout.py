"""The prepared folder: what is written, what a repetition does, what is refused."""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, write_layout
from medsam_exp.curation.prepare.output import Request, SourceFacts
from medsam_exp.data.folder import FolderDataset
from medsam_exp.types import UserError
from tests.curation.prepare.miniatures import tree

REQUEST = Request("toy", 1, "every third to test", SourceFacts(3, 10, "ab" * 32), "ours", {"keep": True})


def pixels(n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(n)
    return draw.integers(0, 255, (6, 9, 3), dtype=np.uint8), draw.random((6, 9)) > 0.5


def cases(
    count: int = 6, read: Callable[[int], tuple[np.ndarray, np.ndarray]] = pixels
) -> list[PreparedImage]:
    return [
        PreparedImage(
            name=f"benign_{n}",
            split=("train", "val", "test")[n % 3],
            read=lambda n=n: read(n),
            class_name="benign",
            group=f"p{n}",
            source=f"raw/{n}.png",
        )
        for n in range(count)
    ]


def test_everything_is_written_and_the_pipeline_reads_it(tmp_path: Path) -> None:
    found = write_layout(tmp_path / "out", cases(), REQUEST, ["one note"])
    assert found.written == 12
    dataset = FolderDataset("toy", str(tmp_path / "out"), "val", index="index.csv")
    assert [(sample.id, sample.class_name) for sample in dataset.samples] == [
        ("benign_1", "benign"),
        ("benign_4", "benign"),
    ]
    image, mask = pixels(4)
    assert (dataset.read_image("benign_4") == image).all()
    assert (dataset.read_ground_truth("benign_4") == mask).all()
    assert set(np.unique(np.asarray(Image.open(tmp_path / "out/val_masks/benign_4.png")))) == {0, 255}


def test_index_and_account(tmp_path: Path) -> None:
    spaced = [PreparedImage("x", "test", lambda: pixels(0), spacing_mm=(0.49, 0.5)), *cases(1)]
    write_layout(tmp_path, spaced, REQUEST, ["one note"])
    with (tmp_path / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("name", "split", "class", "group", "source"),
        *("spacing_row_mm", "spacing_column_mm"),
    ]
    assert rows[0]["spacing_row_mm"] == ""
    assert (rows[1]["spacing_row_mm"], rows[1]["spacing_column_mm"]) == ("0.49", "0.5")
    summary_lines = json.loads((tmp_path / "prepared.json").read_text())
    assert summary_lines["counts"] == {"train": {"benign": 1}, "val": {}, "test": {"": 1}}
    assert summary_lines["notes"] == ["one note"]
    assert summary_lines["source"]["digest"] == "ab" * 32
    for line in (tmp_path / "checksums.sha256").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_gray_images_are_stored_with_one_channel(tmp_path: Path) -> None:
    gray = np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4, 1), 3, axis=2)
    write_layout(tmp_path, [PreparedImage("g", "test", lambda: (gray, np.ones((3, 4), bool)))], REQUEST)
    stored = Image.open(tmp_path / "test_images/g.png")
    assert stored.mode == "L"
    assert (np.asarray(stored.convert("RGB")) == gray).all()


def test_a_repetition_reads_and_writes_nothing(tmp_path: Path) -> None:
    write_layout(tmp_path, cases(), REQUEST)
    before = tree(tmp_path)

    def refuse(n: int) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("was read again")

    assert write_layout(tmp_path, cases(read=refuse), REQUEST).written == 0
    assert tree(tmp_path) == before


def test_what_was_deleted_or_changed_is_written_again(tmp_path: Path) -> None:
    write_layout(tmp_path, cases(), REQUEST)
    before = tree(tmp_path)
    (tmp_path / "train_images/benign_0.png").unlink()
    (tmp_path / "val_masks/benign_1.png").write_bytes(b"spoilt")
    assert write_layout(tmp_path, cases(), REQUEST).written == 4
    assert tree(tmp_path) == before


def test_order_of_cases_changes_nothing(tmp_path: Path) -> None:
    write_layout(tmp_path / "a", cases(), REQUEST)
    write_layout(tmp_path / "b", cases()[::-1], REQUEST)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_stopped_in_the_middle_and_repeated_gives_the_same_bytes(tmp_path: Path) -> None:
    write_layout(tmp_path / "whole", cases(30), REQUEST)

    def stop(n: int) -> tuple[np.ndarray, np.ndarray]:
        if n == 17:
            raise KeyboardInterrupt
        return pixels(n)

    with pytest.raises(KeyboardInterrupt):
        write_layout(tmp_path / "out", cases(30, stop), REQUEST)
    assert not (tmp_path / "out/prepared.json").exists()
    (tmp_path / "out/train_images/.benign_3.png.abcd1234").write_bytes(b"half")
    (tmp_path / "out/.index.csv.abcd1234").write_bytes(b"half")
    found = write_layout(tmp_path / "out", cases(30), REQUEST)
    assert 0 < found.written < 60
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match=r"is not empty \(holiday.jpg\)"):
        write_layout(tmp_path, cases(), REQUEST)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            Request("toy", 1, "every third to test", REQUEST.source, "ours", {"keep": False}),
            "keep was True, now",
        ),
        (
            Request("toy", 2, "every third to test", REQUEST.source, "ours", {"keep": True}),
            "version was 1, now 2",
        ),
        (
            Request("toy", 1, "every third to test", SourceFacts(3, 11, "cd" * 32), "ours", {"keep": True}),
            "other bytes",
        ),
    ],
)
def test_another_request_is_refused(tmp_path: Path, other: Request, said: str) -> None:
    write_layout(tmp_path, cases(), REQUEST)
    with pytest.raises(UserError, match=said):
        write_layout(tmp_path, cases(), other)


def test_strangers_among_the_files_are_named(tmp_path: Path) -> None:
    write_layout(tmp_path, cases(), REQUEST)
    (tmp_path / "test_images/mine.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"does not write \(test_images/mine.png\)"):
        write_layout(tmp_path, cases(), REQUEST)


def test_faulty_cases_are_all_named_or_left_out(tmp_path: Path) -> None:
    def faulty(n: int) -> tuple[np.ndarray, np.ndarray]:
        if n in (1, 4):
            raise UserError(f"raw/{n}.png cannot be read: replace it")
        return pixels(n)

    with pytest.raises(UserError, match=r"2 of 6 images cannot be used \(raw/1.png .*; raw/4.png"):
        write_layout(tmp_path / "a", cases(read=faulty), REQUEST)
    found = write_layout(tmp_path / "b", cases(read=faulty), REQUEST, skip_faulty=True)
    assert found.counts["val"] == {}
    assert found.notes[0].startswith("left out: raw/1.png")
    assert json.loads((tmp_path / "b/prepared.json").read_text())["counts"]["train"] == {"benign": 2}


def test_image_and_mask_of_different_sizes(tmp_path: Path) -> None:
    odd = PreparedImage(
        "x", "test", lambda: (np.zeros((4, 5), np.uint8), np.zeros((5, 4), bool)), source="x.png"
    )
    with pytest.raises(UserError, match=r"x.png has an image of 5 x 4 and a mask of 4 x 5 pixels"):
        write_layout(tmp_path, [odd], REQUEST)


def test_names_that_differ_by_case_only_are_refused(tmp_path: Path) -> None:
    twins = [
        PreparedImage("A", "test", lambda: pixels(0), source="A.png"),
        PreparedImage("a", "test", lambda: pixels(1)),
    ]
    with pytest.raises(UserError, match=r"A.png and a would both be written as a"):
        write_layout(tmp_path, twins, REQUEST)


@pytest.mark.parametrize("name", ["a:b", " a", ".a", 'a"', "a/b", ""])
def test_names_that_some_systems_cannot_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UserError, match=r"x.png cannot be written as .* which is no name of a file on every system"
    ):
        write_layout(tmp_path, [PreparedImage(name, "test", lambda: pixels(0), source="x.png")], REQUEST)


def test_a_group_on_two_sides_cannot_be_written(tmp_path: Path) -> None:
    torn = [PreparedImage(split, split, lambda: pixels(0), group="p") for split in ("train", "test")]
    with pytest.raises(ValueError, match="two sides"):
        write_layout(tmp_path, torn, REQUEST)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("benign (83)", "benign_83"),
        ("../../x", "x"),
        ("Ärzte 1", "rzte_1"),
        ("__", "image"),
        ("a.b-c", "a.b-c"),
    ],
)
def test_plain_names(text: str, name: str) -> None:
    assert plain_name(text) == name
