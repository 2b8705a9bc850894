"""Pairs from a CSV file: what is kept, who goes where, and what each fault says."""

import csv
import io
import os
import pickle
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medsam_exp.config.build import build
from medsam_exp.config.schema import check
from medsam_exp.data import pair_table
from medsam_exp.data.csv_pairs import CsvPairs
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.training.clip_data import PairsDataModule
from medsam_exp.types import PairSource, UserError
from tests.compose import composed

Row = Sequence[str]


def caption(number: int) -> str:
    return f"Axial CT of the chest, patient number {number}."


def draw(path: Path, seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def write(path: Path, rows: Sequence[Row], header: Row = ("filename", "Caption"), **form: str) -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=form.get("separator", ",")).writerows([header, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding=form.get("encoding", "utf-8"))
    return path


def table(root: Path, count: int, extra: Sequence[Row] = ()) -> Path:
    """So many images with a caption each."""
    for number in range(count):
        draw(root / f"images/{number}.png", number)
    return write(root / "pairs.csv", [(f"images/{n}.png", caption(n)) for n in range(count)] + list(extra))


def pairs(file: Path, **options) -> CsvPairs:
    return CsvPairs(str(file), **({"part": "all"} | options))


def parts(file: Path, **options) -> tuple[set[str], set[str]]:
    found = [set(pairs(file, part=part, **options).ids) for part in ("train", "validation")]
    return found[0], found[1]


def told(source: CsvPairs) -> str:
    return "\n".join(source.notes)


def refusal(file: Path, **options) -> str:
    with pytest.raises(UserError) as caught:
        pairs(file, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_with_all_their_captions_by_path(tmp_path: Path) -> None:
    file = table(
        tmp_path,
        3,
        [("./images/../images/1.png", "A second truthful sentence."), ("images\\1.png", caption(1))],
    )
    source: PairSource = pairs(file)
    assert source.ids == ("images/0.png", "images/1.png", "images/2.png")
    assert source.captions("images/1.png") == ("A second truthful sentence.", caption(1))
    assert np.array_equal(source.read_image("images/2.png"), draw(tmp_path / "again.png", 2))
    assert pickle.loads(pickle.dumps(source)).ids == source.ids
    with pytest.raises(KeyError):
        source.captions("images/9.png")


def test_every_step_of_cleaning_is_counted(tmp_path: Path) -> None:
    extra = [
        ("images/0.png", f"  {caption(0)}<br> "),  # changed, then a repetition
        ("images/0.png", caption(0)),  # a repetition
        ("images/1.png", "Nineteen characters"),
        ("images/1.png", "Twenty characters OK"),
        ("images/1.png", ""),
        ("images/1.png", " \t®® "),  # changed to nothing
        ("images/2.png", "<b>CT</b> with 21 letters"),  # changed; short only without its markup
    ]
    source = pairs(table(tmp_path, 3, extra))
    assert source.notes == (
        "pairs.csv: 10 rows read, 3 captions changed by cleaning; dropped: 2 empty captions, "
        "2 captions of fewer than 20 characters (smallest_caption), 2 repeated rows",
        "all: 4 rows of 3 images left (the file has 3)",
    )
    assert source.captions("images/1.png") == (caption(1), "Twenty characters OK")
    shorter = pairs(table(tmp_path, 3, extra), smallest_caption=18)
    assert "0 captions of fewer than 18" in told(shorter)


def test_an_image_whose_captions_all_go_is_neither_used_nor_needed(tmp_path: Path) -> None:
    assert pairs(table(tmp_path, 2, [("images/absent.png", "short")])).ids == ("images/0.png", "images/1.png")


def test_parts_are_disjoint_complete_and_of_the_asked_share(tmp_path: Path) -> None:
    rows = [(f"{number}.png", caption(number)) for number in range(2000)]
    one = tmp_path / "0.png"
    draw(one, 0)
    for number in range(1, 2000):
        os.link(one, tmp_path / f"{number}.png")
    file = write(tmp_path / "pairs.csv", rows)
    train, validation = parts(file)
    assert not train & validation
    assert train | validation == {name for name, _ in rows}
    assert len(train) / 2000 == pytest.approx(0.85, abs=0.025)  # three standard deviations
    half, rest = parts(file, train_share=0.5)
    assert half < train
    assert len(rest) / 2000 == pytest.approx(0.5, abs=0.034)
    other, _ = parts(file, split_seed=1)
    assert 0.80 < len(other & train) / len(train) < 0.90  # by chance 0.85


def test_parts_depend_on_no_other_row_and_on_no_order(tmp_path: Path) -> None:
    train, validation = parts(table(tmp_path, 30), train_share=0.5)
    rows = [(f"images/{n}.png", caption(n)) for n in range(30)] + [("images/3.png", "Another caption of it.")]
    random.Random(0).shuffle(rows)
    shuffled = write(tmp_path / "pairs.csv", rows)
    assert parts(shuffled, train_share=0.5) == (train, validation)
    fewer = write(tmp_path / "pairs.csv", rows[:20])
    named = {name for name, _ in rows[:20]}
    assert parts(fewer, train_share=0.5) == (train & named, validation & named)


def test_a_group_is_never_divided(tmp_path: Path) -> None:
    for number in range(60):
        draw(tmp_path / f"{number}.png", number)
    rows = [(f"{n}.png", caption(n), f"patient {n // 5}") for n in range(55)]
    nobody = (" ", "nan", "N/A", "NaN", "")
    rows += [(f"{n}.png", caption(n), nobody[n - 55]) for n in range(55, 60)]
    file = write(tmp_path / "pairs.csv", rows, ("filename", "Caption", "patient"))
    train, validation = parts(file, group_column="patient", train_share=0.6)
    assert train
    assert validation
    assert len(train | validation) == 60
    groups = {name: group for name, _, group in rows if group not in nobody}
    assert not {groups.get(name, name) for name in train} & {groups.get(name, name) for name in validation}
    alone, _ = parts(file, train_share=0.6)
    assert {groups.get(n, n) for n in alone} & {groups.get(n, n) for n in groups.keys() - alone}
    assert "5 images have no patient: each counts as a group" in told(pairs(file, group_column="patient"))
    both = write(
        tmp_path / "pairs.csv",
        [*rows, ("./7.png", caption(99), "patient 9")],
        ("filename", "Caption", "patient"),
    )
    assert "7.png belongs to two groups, 'patient 1' and 'patient 9'" in refusal(both, group_column="patient")


def test_texts_that_both_parts_share_are_counted(tmp_path: Path) -> None:
    common = [(f"images/{n}.png", "Normal chest radiograph.") for n in range(20)]
    file = table(tmp_path, 20, common)
    for part in ("train", "validation"):
        assert f"1 captions of {part} also describe an image outside" in told(pairs(file, part=part))
    assert "also describe" not in told(pairs(file))
    assert "also describe" not in told(pairs(table(tmp_path, 20), part="train"))


def test_a_limit_keeps_what_a_lower_one_keeps_and_reads_no_more(tmp_path: Path) -> None:
    file = table(tmp_path, 20)
    few, more = (set(pairs(file, limit=limit).ids) for limit in (4, 9))
    assert (len(few), len(more)) == (4, 9)
    assert few < more
    left_out = next(name for name in pairs(file).ids if name not in more)
    (tmp_path / left_out).unlink()
    assert set(pairs(file, limit=9).ids) == more
    assert pairs(file, limit=4, part="train").ids == tuple(sorted(pairs(file, limit=4, part="train").ids))


def broken(tmp_path: Path) -> Path:
    """Twelve unreadable images beside three good ones."""
    file = table(tmp_path, 15)
    (tmp_path / "images/0.png").unlink()
    (tmp_path / "images/1.png").write_bytes(b"")
    (tmp_path / "images/10.png").write_text("no image")
    for number in (11, 12, 13, 14, 2, 3, 4, 5, 6):
        path = tmp_path / f"images/{number}.png"
        path.write_bytes(path.read_bytes()[:-30])
    return file


def test_unreadable_images_are_named_in_one_error(tmp_path: Path) -> None:
    file = broken(tmp_path)
    for part in ("all", "train", "validation"):
        text = refusal(file, part=part)
        assert "12 of 15 images cannot be read" in text
        assert "0.png does not exist" in text
        assert "1.png is empty (0 bytes)" in text
        assert "10.png cannot be read as an image" in text
        assert "and 2 more" in text
        assert "on_error=skip" in text


def test_unreadable_images_are_skipped_by_name_on_request(tmp_path: Path) -> None:
    before = parts(table(tmp_path, 15), train_share=0.5, split_seed=2)
    file = broken(tmp_path)
    source = pairs(file, on_error="skip")
    assert source.ids == ("images/7.png", "images/8.png", "images/9.png")
    skipped = [note for note in source.notes if note.startswith("skipped: ")]
    assert len(skipped) == 12
    assert all(f"/images/{n}.png " in "".join(skipped) for n in (0, 1, 10, 11, 12, 13, 14, 2, 3, 4, 5, 6))
    after = parts(file, on_error="skip", train_share=0.5, split_seed=2)
    assert all(left == was & set(source.ids) for left, was in zip(after, before, strict=True))
    for name in source.ids:
        (tmp_path / name).unlink()
    assert "leaves no image for all (of 15, 15 of them unreadable)" in refusal(file, on_error="skip")


def test_a_file_is_decoded_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    read = pair_table.read_image
    monkeypatch.setattr(pair_table, "read_image", lambda path: decoded.append(path.name) or read(path))
    file = table(tmp_path, 4)
    for part in ("train", "validation", "all"):
        pairs(file, part=part, train_share=0.5)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]
    (tmp_path / "images/2.png").write_bytes(b"spoilt")
    assert "2.png" in refusal(file)
    assert decoded[4:] == ["2.png"]


@pytest.mark.parametrize(
    ("written", "image", "pair_id"),
    [
        ("images/a.png", "top/images/a.png", "images/a.png"),
        ("{tmp}/top/images/a.png", "top/images/a.png", "images/a.png"),
        ("data/top/images/a.png", "top/images/a.png", "images/a.png"),  # written from a folder above
        ("/elsewhere/x/images/a.png", "top/images/a.png", "images/a.png"),  # on another machine
        ("C:\\scans\\images\\a.png", "top/images/a.png", "images/a.png"),
        ("../scans/a.png", "scans/a.png", "a.png"),
        ("{tmp}/scans/a.png", "scans/a.png", "a.png"),
    ],
)
def test_paths_of_every_kind_are_found(tmp_path: Path, written: str, image: str, pair_id: str) -> None:
    pixels = draw(tmp_path / image, 1)
    draw(tmp_path / image.replace("a.png", "b.png"), 2)
    name = written.format(tmp=tmp_path)
    rows = [(name, caption(1)), (name.replace("a.png", "b.png"), caption(2))]
    source = pairs(write(tmp_path / "top/pairs.csv", rows))
    assert source.ids == (pair_id, pair_id.replace("a.png", "b.png"))
    assert np.array_equal(source.read_image(pair_id), pixels)
    dropped = written.startswith(("data", "/else", "C:"))
    assert ("found without it" in told(source)) == dropped


def test_a_root_of_its_own(tmp_path: Path) -> None:
    draw(tmp_path / "scans/a.png", 0)
    file = write(tmp_path / "tables/pairs.csv", [("a.png", caption(0))])
    assert pairs(file, root=str(tmp_path / "scans")).ids == ("a.png",)
    assert "1 of 1 images cannot be read" in refusal(file)
    assert "root" in refusal(file)
    assert "nowhere is not a folder" in refusal(file, root=str(tmp_path / "nowhere"))


def test_folders_that_only_some_rows_share_are_never_dropped(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    draw(tmp_path / "b.png", 0)
    file = write(tmp_path / "pairs.csv", [("x/a.png", caption(0)), ("y/b.png", caption(1))])
    assert "2 of 2 images cannot be read" in refusal(file)


def test_separator_encoding_and_columns_can_be_named(tmp_path: Path) -> None:
    draw(tmp_path / "é a.png", 0)
    rows = [("7", " é a.png ", "Œdème, pulmonaire; sévère\net bilatéral")]
    header = ("id", " name", "caption ")
    names = {"image_column": "name", "caption_column": "caption"}
    for separator, encoding in ((";", "utf-8-sig"), ("\t", "utf-8")):
        file = write(tmp_path / "p.csv", rows, header, separator=separator, encoding=encoding)
        for given in {separator, separator.replace("\t", "\\t")}:
            source = pairs(file, separator=given, **names)
            assert source.captions("é a.png") == ("Œdème, pulmonaire; sévère et bilatéral",)


def test_faults_of_the_file_are_one_clear_sentence_each(tmp_path: Path) -> None:
    def given(content: bytes, **options) -> str:
        (tmp_path / "p.csv").write_bytes(content)
        return refusal(tmp_path / "p.csv", **options)

    assert "absent.csv does not exist" in refusal(tmp_path / "absent.csv")
    assert "cannot be read" in refusal(tmp_path)
    assert "is empty: it needs a header line with filename, Caption" in given(b"")
    assert "no usable row (0 read" in given(b"filename,Caption\n")
    text = given(b"filename,captoin,patient\na.png,b,c\n")
    assert "no column 'Caption' (it has 'filename', 'captoin', 'patient', did you mean 'captoin'?)" in text
    assert "did you mean" not in given(b"filename,patient\na.png,c\n")
    assert "or separator" in given(b"filename|Caption\na.png|b\n")
    assert "2 columns named 'Caption'" in given(b"filename,Caption,Caption\n")
    assert "not in UTF-8 (it has a byte 0xe9 in line 2)" in given(
        "filename,Caption\na.png,é".encode("latin-1")
    )
    assert "line 3, is no valid CSV" in given(b'filename,Caption\na.png,b\nc.png,"never closed\nd.png,e\n')
    text = given(b'filename,Caption\n\na.png,"two\nlines"\nb.png\nc.png,d,e\n,f\n')
    assert "3 of 4 rows are faulty (line 5 has 1 fields, the header has 2; line 6 has 3 fields" in text
    assert "line 7 has no filename" in text
    text = given(b"filename,Caption\na.png,short\na.png,\n")
    assert "no usable row (2 read, 1 without a caption, 1 with fewer than 20 characters)" in text


def test_faulty_rows_are_skipped_by_name_on_request(tmp_path: Path) -> None:
    file = table(tmp_path, 2)
    with file.open("a") as more:
        more.write("images/2.png\n" * 12 + ",A caption of nothing at all.\n")
    assert "13 of 15 rows are faulty" in refusal(file)
    assert "and 3 more" in refusal(file)
    source = pairs(file, on_error="skip")
    assert source.notes[0].startswith("pairs.csv: 15 rows read")
    assert "skipped: pairs.csv, line 16 has no filename" in source.notes
    assert sum(note.startswith("skipped: ") for note in source.notes) == 13


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"separator": ",,"}, "separator is ',,'"),
        ({"separator": '"'}, "separator is"),
        ({"smallest_caption": -1}, "smallest_caption is -1"),
        ({"part": "test"}, "part is 'test'"),
        ({"train_share": 1.0}, "train_share is 1.0"),
        ({"train_share": 0.0}, "train_share is 0.0"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"limit": 0}, "limit is 0"),
        ({"part": "validation", "train_share": 0.9999}, "leaves no image for validation (of 2"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path: Path, options: dict, sentence: str) -> None:
    assert sentence in refusal(table(tmp_path, 2), **options)


def test_the_digest_follows_content_and_not_place_or_order(tmp_path: Path) -> None:
    def digest(folder: Path, **options) -> str:
        return pairs(folder / "pairs.csv", **options).digest(FileDigests())

    first = tmp_path / "one"
    table(first, 4, [("images/1.png", "A second truthful sentence.")])
    expected = digest(first)
    moved = tmp_path / "two/deep"
    shutil.copytree(first, moved)
    assert digest(moved) == expected
    absolute = [(str(moved / f"images/{n}.png"), caption(n)) for n in range(4)]
    write(moved / "pairs.csv", [("images/1.png", "A second truthful sentence."), *reversed(absolute)])
    assert digest(moved) == expected
    changes = {
        "caption": lambda: write(moved / "pairs.csv", absolute),
        "pixels": lambda: draw(moved / "images/2.png", 99),
        "name": lambda: write(moved / "pairs.csv", absolute[:3]),
    }
    seen = {expected, digest(first, limit=2)}
    for change in changes.values():
        change()
        seen.add(digest(moved))
    assert len(seen) == 5


def test_the_digest_follows_the_patients_where_there_are_any(tmp_path: Path) -> None:
    table(tmp_path, 3)
    seen = {pairs(tmp_path / "pairs.csv").digest(FileDigests())}
    for patients in ("", "", ""), ("a", "a", "b"), ("a", "b", "b"):
        rows = [(f"images/{n}.png", caption(n), patient) for n, patient in enumerate(patients)]
        file = write(tmp_path / "pairs.csv", rows, ("filename", "Caption", "who"))
        seen.add(pairs(file, group_column="who").digest(FileDigests()))
    assert len(seen) == 3, "without patients it stays"


class Letters:
    """Preprocessing and tokens simple enough to compare by eye."""

    def preprocess(self, image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image[:3, :4].copy()).permute(2, 0, 1).float()

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[ord(letter) for letter in text[:48].ljust(48)] for text in texts])


def test_batches_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    file = table(tmp_path, 12, [(f"images/{n}.png", f"Another caption of image {n}.") for n in range(12)])

    def batches(workers: int) -> list[torch.Tensor]:
        data = PairsDataModule(
            pairs(file), None, Letters().preprocess, Letters().tokenize, batch_size=4, seed=2, workers=workers
        )
        data.setup("fit")
        return [half for batch in data.train_dataloader() for half in (batch.image, batch.tokens)]

    alone, helped = batches(0), batches(2)
    assert len(alone) == 6
    assert all(torch.equal(left, right) for left, right in zip(alone, helped, strict=True))


def test_the_configuration_gives_both_parts_from_one_file(tmp_path: Path) -> None:
    file = table(tmp_path / "medpix_dataset", 20).rename(tmp_path / "medpix_dataset/medpix_dataset.csv")
    for given in (["pairs=medpix", f"paths.data={tmp_path}"], ["pairs=csv", f"pairs.train.file={file}"]):
        built = build(check(composed(*given, "pairs.train.train_share=0.5")).pairs)
        assert sorted(built) == ["train", "validation"]
        assert built["train"].ids == pairs(file, part="train", train_share=0.5).ids
        assert built["validation"].ids == pairs(file, part="validation", train_share=0.5).ids


def test_real_pairs_of_radiology(shared_data: Path) -> None:
    folder = shared_data / "roco_mini"
    if not folder.is_dir():
        pytest.skip("roco_mini is not beside this checkout")
    one = pairs(folder / "train.csv", limit=60)
    assert len(one.ids) == 60
    assert one.notes[0] == (
        "train.csv: 1200 rows read, 103 captions changed by cleaning; dropped: 0 empty captions, "
        "15 captions of fewer than 20 characters (smallest_caption), 0 repeated rows"
    )
    assert one.notes[1] == "all: 60 rows of 60 images left (the file has 1185)"
    train, validation = (pairs(folder / "train.csv", part=p, limit=2000).ids for p in ("train", "validation"))
    assert (len(train), len(validation)) == (1008, 177)
    with (folder / "train.csv").open(newline="", encoding="utf-8-sig") as file:
        raw = {row["filename"]: row["Caption"] for row in csv.DictReader(file)}
    assert set(one.ids) < raw.keys()
    letters = {pair_id: [c for c in raw[pair_id] if c.isalnum()] for pair_id in one.ids}
    assert all([c for c in one.captions(i)[0] if c.isalnum()] == letters[i] for i in one.ids)
    assert one.read_image(one.ids[0]).dtype == np.uint8


def test_names_without_an_ending_mean_the_only_image(tmp_path: Path) -> None:
    for name in ("x_0.jpg", "x_1.PNG", "x_2.png", "x_2.tif"):
        draw(tmp_path / "train" / name, 0)
    header = ("ID", "Caption")
    file = write(tmp_path / "captions.csv", [(f"x_{n}", caption(n)) for n in range(2)], header)
    source = pairs(file, root=str(tmp_path / "train"))
    assert source.ids == ("x_0.jpg", "x_1.PNG")
    assert "columns that stand in for those of the configuration: ID for filename" in source.notes
    file = write(tmp_path / "captions.csv", [(f"x_{n}", caption(n)) for n in range(4)], header)
    text = refusal(file, root=str(tmp_path / "train"))
    assert "x_2 does not exist, and several files have that name (x_2.png, x_2.tif)" in text
    assert "x_3 does not exist, and no image has that name with any ending" in text
