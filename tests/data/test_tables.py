"""The one reader of tables: nothing is cut off without a word, whichever table it is."""

import codecs
import csv
from pathlib import Path

import pytest

from medsam_exp.curation.quality.layout import find_collection
from medsam_exp.data.csv_pairs import CsvPairs
from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.sample_index import Index, stem_of
from medsam_exp.data.tables import csv_text, is_missing, no_formula, number, place_of, read_table, table_of
from medsam_exp.text.per_image import PerImage
from medsam_exp.types import UserError

ROWS = [("a.png", "a mass, dark"), ("b.png", 'a 5" cyst; left\nlung')]
EXPECTED = ("filename", "Caption")


def written(path: Path, separator: str = ",", first: str = "", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        file.write(first)
        csv.writer(file, delimiter=separator).writerows([EXPECTED, *ROWS])
    return path


def rows(path: Path) -> list[tuple[str, ...]]:
    return [row for _, row in read_table(path, "mend", EXPECTED).sound_rows()]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_separators_and_encodings_are_recognised(tmp_path: Path, separator: str, encoding: str) -> None:
    assert rows(written(tmp_path / "t.csv", separator, encoding=encoding)) == ROWS


def test_the_separator_that_excel_names(tmp_path: Path) -> None:
    assert rows(written(tmp_path / "t.csv", "|", "sep=|\r\n")) == ROWS
    table = table_of("sep=;\na;b\n\n1\n", "t.csv")
    assert table.faults == ("line 4 has 1 fields, the header has 2",), "the lines are those of the file"


def test_the_expected_columns_outweigh_signs_within_a_name() -> None:
    table = table_of("filename;Caption, in words, or in signs\na;b\n", "t", ["filename"])
    assert table.header == ("filename", "Caption, in words, or in signs")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"PK\x03\x04rest",
            'is an Excel file (.xlsx) or another zip, which is not read here: save the sheet as "CSV',
        ),
        (b"\xd0\xcf\x11\xe0rest", "is an Excel file (.xls)"),
        ("filename,Caption\na,Größe".encode("cp1252"), "not in UTF-8 (it has a byte 0xf6 in line 2)"),
        ("filename,Caption\na,b\n".encode("utf-16-le"), "has a NUL character in line 1"),
        (codecs.BOM_UTF8, "is empty: it needs a header line with filename, Caption"),
        (
            b'filename,Caption\na,"b\nc,d\n',
            "line 2, is no valid CSV (unexpected end of data: mend its quotes)",
        ),
        (
            b"filename,Caption\na," + 140_000 * b"x",
            "line 2, is no valid CSV (it has a field of more than 131072",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_advice(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        rows(tmp_path / "t.csv")
    assert said in str(caught.value)


CUT = "name,class,split,spacing_row_mm,spacing_column_mm\nx.png,benign, large,test,1,1\ny.png,benign,test,1\n"


@pytest.mark.parametrize(
    "read",
    [
        lambda path: Index(path, "test", "name", "split").classes("class"),
        lambda path: Index(path, "test", "name", "split").spacings(),
        lambda path: read_exclusion(str(path), path.parent, "test"),
        lambda path: PerImage(str(path), "name", "class"),
        lambda path: CsvPairs(str(path), image_column="name", caption_column="class"),
    ],
    ids=["classes", "sizes", "exclusion", "texts", "pairs"],
)
def test_no_reader_cuts_a_row(tmp_path: Path, read) -> None:
    (tmp_path / "t.csv").write_text(CUT)
    with pytest.raises(UserError, match=r"2 of 2 rows are faulty \(line 2 has 6 fields, .*; line 3 has 4"):
        read(tmp_path / "t.csv")


def test_the_data_check_says_it_of_its_index(tmp_path: Path) -> None:
    (tmp_path / "test_images").mkdir()
    (tmp_path / "test_images" / "x.png").write_bytes(b"read later")
    (tmp_path / "index.csv").write_text(CUT)
    assert "2 of 2 rows are faulty (line 2 has 6" in find_collection(tmp_path).remarks[0]
    (tmp_path / "index.csv").write_text("name,class\nx.png,benign\nx.png,malignant\n")
    assert find_collection(tmp_path).remarks == ("index.csv has 1 rows that contradict an earlier one (x)",)


def test_empty_fields_at_the_end_are_no_fault_but_values_are() -> None:
    table = table_of("a,b,,\n1,2,,\n3,4\n5,6,lost,\n,,,\n", "t")
    assert table.rows == [(2, ("1", "2")), (3, ("3", "4"))]
    assert table.faults == ("line 4 has 3 fields, the header has 2",)


@pytest.mark.parametrize(
    ("header", "column", "place"),
    [
        (["id", "FileName"], "filename", 1),
        (["ID", "Caption"], "filename", 0),
        (["id", "image", "x"], "filename", 1),  # a file before a number
        (["image", "text"], "Caption", 1),
        (["image", "report", "text"], "Caption", 2),
        (["image", "Description"], "Caption", 1),
        (["image path", "x"], "name", 0),
        (["name", "filename"], "filename", 1),
    ],
)
def test_usual_names_of_columns(header: list[str], column: str, place: int) -> None:
    assert place_of(header, column, "t.csv", "set it") == place


@pytest.mark.parametrize(
    ("header", "column", "said"),
    [
        (
            ["image", "path"],
            "filename",
            "no column 'filename', and 'image' and 'path' may both be meant: set it",
        ),
        (["caption", "Caption "], "CAPTION", "has 2 columns named 'CAPTION'"),
        (["image", "text"], "finding", "has no column 'finding' (it has 'image', 'text'): set it"),
        (["image", "patients"], "patient", "did you mean 'patients'?"),
        (["image", "patient"], "Caption", "(it has 'image', 'patient'): set it"),
    ],
)
def test_columns_are_never_guessed(header: list[str], column: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        place_of(header, column, "t.csv", "set it")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a.png", "a", "A/b/a.JPG", r"C:\scans\a.dcm", "a.nii.gz", "a.nii", " a.webp ", "x/a.tiff"]
)
def test_an_image_by_every_way_to_name_it(name: str) -> None:
    assert stem_of(name) == "a"


def test_what_a_field_means() -> None:
    assert [number(text) for text in ("0,5", "0.5", " 1e-1 ", "-3", "1,000.5", "1_0", "nan", "inf", "")] == [
        *(0.5, 0.5, 0.1, -3.0),
        *(None,) * 5,
    ]
    assert [is_missing(text) for text in ("", " NaN ", "#N/A", "none seen", "normal")] == [True] * 3 + [
        False
    ] * 2


def test_a_decimal_comma_and_missing_sizes(tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text("name;spacing_row_mm;spacing_column_mm\na.png;0,5;0,25\nb.png;nan;\n")
    assert Index(path, "test", "name", None).spacings() == {"a": (0.5, 0.25), "b": None}


def test_a_text_that_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,text\na.png,nan\n")
    with pytest.raises(UserError, match=r"has the text 'nan' for a\.png: write one or remove the entry"):
        PerImage(str(path))
    path.write_text("name,class\na.png,nan\n")
    assert Index(path, "test", "name", None).classes("class") == {"a": ""}


def test_json_that_names_an_image_twice(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"a.png": "x", "a.png": "y"}')
    with pytest.raises(UserError, match=r"names a\.png twice: write its texts as one list"):
        PerImage(str(path))
    path.write_text(100_000 * "[")
    with pytest.raises(UserError, match=r"deeper than limits\.nesting=100"):
        PerImage(str(path))


@pytest.mark.parametrize(
    "field", ["=1+1", "+a", "-a.png", "@SUM(A1)", "\tx", "\r=1", "=HYPERLINK(1)", "'-x", "''=1"]
)
def test_a_formula_becomes_a_text_and_is_read_as_it_was(field: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(csv_text(["id", "text"], [[field, "a"]]), newline="")
    with path.open(newline="") as file:
        _, (written, _) = csv.reader(file)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    ((_, row),) = read_table(path, "mend").rows
    assert row == (field, "a")


@pytest.mark.parametrize("field", [-0.5, 3, None, True, "-0.5", "+3", "-1e-5", "-.5", "", "a=b", "a'b"])
def test_numbers_and_other_texts_are_written_as_they_are(field: object) -> None:
    assert no_formula(field) is field
