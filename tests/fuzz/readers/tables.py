"""Tables, texts and annotations beside images."""

import json
from collections.abc import Callable
from pathlib import Path

from medsam_exp.data.coco import read_coco
from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.pair_table import read_pair_table
from medsam_exp.data.sample_index import Index
from medsam_exp.text.per_image import PerImage
from medsam_exp.text.sentence_files import read_sentences
from tests.fuzz.reader import Reader

_TEXTS = b'filename,Caption\na.png,a dark mass in the breast\nb.png,"round, bright"\n'
_PAIRS = (
    b"filename,Caption,patient\na.png,a dark mass in the left breast,p1\nb.png,a bright mass in the lung,p2\n"
)
_INDEX = b"name,class,split,group,spacing_row_mm,spacing_column_mm\na,benign,train,p1,0.1,0.1\nb,malignant,test,p2,,\n"
_SENTENCES = {"generic": ["a lesion"], "subtypes": {"benign": {"name": "benign", "sentences": ["round"]}}}
_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 1, "name": "mass"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 4]]},
        {"id": 2, "image_id": 2, "category_id": 1, "segmentation": {"size": [6, 8], "counts": [10, 8, 30]}},
    ],
}


def _of_file(name: str, content: bytes, read: Callable[[Path], object], of: str | None = None) -> Reader:
    return Reader(of or name, lambda: {name: content}, lambda folder: read(folder / name))


def _index(path: Path) -> None:
    index = Index(path, "train", "name", "split")
    index.classes("class")
    index.spacings()


def _coco(path: Path) -> None:
    found = read_coco(path)
    for image in found.images if found is not None else ():
        image.labels(image.size if image.size is not None and max(image.size) < 100 else (6, 8))


def _python(path: Path) -> None:
    read_sentences(str(path), {"generic": "A", "benign": "B"})


READERS = (
    _of_file("texts.csv", _TEXTS, lambda path: PerImage(str(path))),
    _of_file("texts.tsv", _TEXTS.replace(b",", b"\t"), lambda path: PerImage(str(path))),
    _of_file("texts16.csv", _TEXTS.decode().encode("utf-16"), lambda path: PerImage(str(path))),
    _of_file("texts.xlsx", b"PK\x03\x04" + bytes(40), lambda path: PerImage(str(path))),
    _of_file(
        "texts.json",
        json.dumps({"a.png": "a mass", "b": ["a", "b"]}).encode(),
        lambda path: PerImage(str(path)),
    ),
    _of_file(
        "pairs.csv", _PAIRS, lambda path: read_pair_table(path, "filename", "Caption", group_column="patient")
    ),
    _of_file("index.csv", _INDEX, _index),
    _of_file(
        "exclude.csv",
        b"name,split\na,train\nb,\n",
        lambda path: read_exclusion(str(path), path.parent, "train"),
    ),
    _of_file("exclude.txt", b"a\nb.png\n", lambda path: read_exclusion(str(path), path.parent, "train")),
    _of_file("sentences.json", json.dumps(_SENTENCES).encode(), lambda path: read_sentences(str(path))),
    _of_file("sentences.py", b"A = ['a mass', 'b']\nB = ('c',)\nx = 1\n", _python),
    _of_file("coco.json", json.dumps(_COCO).encode(), _coco),
)
