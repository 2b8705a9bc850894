import json
from pathlib import Path

import pytest

from medsam_exp.text.per_image import PerImage
from medsam_exp.types import Sample, UserError

SAMPLES = [Sample("busi_1"), Sample("busi_2"), Sample("PMC12.001")]


def write(folder: Path, name: str, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_json_by_file_name_or_stem(tmp_path):
    table = {
        "busi_1.png": "a dark mass",
        "busi_2": ["first", "second"],
        "images/PMC12.001.JPG": "œdème",
        "unused.png": "of another image",
    }
    source = PerImage(write(tmp_path, "texts.json", table))
    assert source.bind(SAMPLES) == {
        "busi_1": ("a dark mass",),
        "busi_2": ("first", "second"),
        "PMC12.001": ("œdème",),
    }
    assert source.uses_class_labels
    assert not PerImage(write(tmp_path, "texts.json", table), uses_class_labels=False).uses_class_labels


def test_a_dot_inside_a_stem_is_no_suffix(tmp_path):
    source = PerImage(write(tmp_path, "texts.json", {"PMC12.001": "a", "busi_1": "b", "busi_2": "c"}))
    assert source.bind(SAMPLES)["PMC12.001"] == ("a",)
    with pytest.raises(UserError, match="no text for 1 of 1"):
        source.bind([Sample("PMC12")])


def test_csv_with_quoted_lines_and_several_texts(tmp_path):
    content = (
        'filename,Caption\nbusi_1.png,"a mass,\nwith shadow"\nbusi_2,first\nPMC12.001.jpg,x\nbusi_2,second\n'
    )
    assert PerImage(write(tmp_path, "texts.csv", "\ufeff" + content)).bind(SAMPLES) == {
        "busi_1": ("a mass,\nwith shadow",),
        "busi_2": ("first", "second"),
        "PMC12.001": ("x",),
    }
    path = write(tmp_path, "other.csv", "id,sentence\nbusi_1,dark\n")
    assert PerImage(path, "id", "sentence").bind(SAMPLES[:1]) == {"busi_1": ("dark",)}


def test_missing_samples_come_in_one_error(tmp_path):
    source = PerImage(write(tmp_path, "texts.json", {"busi_1.png": "a"}))
    with pytest.raises(UserError, match=r"texts\.json has no text for 2 of 3 samples \(busi_2, PMC12\.001\)"):
        source.bind(SAMPLES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", "{'busi_1': 'x'}", "no valid JSON"),
        ("t.json", ["busi_1"], "no JSON object"),
        ("t.json", {"busi_1": 3}, "no sentence for busi_1"),
        ("t.json", {"busi_1": []}, "no sentence for busi_1"),
        ("t.json", {"busi_1": ""}, "empty text for busi_1"),
        ("t.json", {"busi_1": "x", "busi_1.png": "y"}, r"names busi_1 as busi_1 and as busi_1\.png"),
        ("t.csv", "filename,note\na,b\n", r"no column 'Caption' \(it has 'filename', 'note'\)"),
        ("t.csv", "", "is empty: it needs a header line with filename, Caption"),
        ("t.csv", "filename,Caption\nbusi_1,\n", "empty text for busi_1"),
        ("t.txt", "busi_1 a", "neither .json nor .csv"),
    ],
)
def test_faulty_files(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        PerImage(write(tmp_path, name, content))


def test_absent_and_undecodable_files(tmp_path):
    with pytest.raises(UserError, match=r"text\.path: .*absent\.json cannot be read .*: check the path"):
        PerImage(str(tmp_path / "absent.json"))
    (tmp_path / "latin.csv").write_bytes("filename,Caption\na,œdème\n".encode("cp1252"))
    with pytest.raises(UserError, match=r"latin\.csv is not in UTF-8 \(it has a byte 0x9c in line 2"):
        PerImage(str(tmp_path / "latin.csv"))
