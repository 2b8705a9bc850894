"""Names with accents are the same whether they are composed (NFC) or apart (NFD), as a Mac writes them."""

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from medsam_exp.curation.prepare.layout import plain_name
from medsam_exp.curation.quality.layout import find_collection
from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.pair_table import locate_images
from medsam_exp.nnunet.weak_label.folder import FolderMasks, Wanted
from medsam_exp.text.per_image import PerImage
from tests.command import command

main = command("prepare")

NAMES = ("Größe", "Läsion-1", "plain")
MASK = np.zeros((6, 8), np.uint8)
MASK[2:4, 3:6] = 255


def save(path: Path, pixels: np.ndarray = MASK) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def dataset(root: Path, images: str, masks: str) -> None:
    for name in NAMES:
        save(root / "test_images" / f"{normalize(images, name)}.png")
        save(root / "test_masks" / f"{normalize(masks, name)}.png")


@pytest.mark.parametrize(("images", "masks", "tables"), [("NFC", "NFD", "NFD"), ("NFD", "NFC", "NFC")])
def test_images_find_their_masks_tables_and_texts(tmp_path, images, masks, tables) -> None:
    dataset(tmp_path, images, masks)
    rows = [f"{normalize(tables, name)}.png,test,benign,0.5,0.25\n" for name in NAMES]
    table = tmp_path / "index.csv"
    table.write_text("name,split,class,spacing_row_mm,spacing_column_mm\n" + "".join(rows), encoding="utf-8")
    data = FolderDataset("own", str(tmp_path), "test", index="index.csv", spacing_mm="index.csv")
    assert [sample.id for sample in data.samples] == list(NAMES)
    assert {sample.class_name for sample in data.samples} == {"benign"}
    for sample in data.samples:
        assert data.read_ground_truth(sample.id).sum() == 6
        assert data.pixel_spacing_mm(sample.id) == (0.5, 0.25)
    texts = tmp_path / "texts.csv"
    texts.write_text(
        "filename,Caption\n" + "".join(f"{normalize(tables, name)}.png,a mass\n" for name in NAMES),
        encoding="utf-8",
    )
    assert set(PerImage(str(texts)).bind(data.samples)) == set(NAMES)
    assert read_exclusion([normalize(tables, NAMES[0])], tmp_path, "test").stems == {NAMES[0]}
    excluded = FolderDataset("own", str(tmp_path), "test", exclude=[f"{normalize(tables, NAMES[0])}.png"])
    assert [sample.id for sample in excluded.samples] == list(NAMES[1:])
    assert sorted(path.name for path in (tmp_path / "test_images").iterdir()) == sorted(
        f"{normalize(images, name)}.png" for name in NAMES
    )


def test_files_of_a_table_and_labels_of_a_folder(tmp_path) -> None:
    save(tmp_path / f"{normalize('NFD', NAMES[0])}.png")
    located = locate_images([f"{NAMES[0]}.png"], tmp_path)
    assert (located.base / located.ids[f"{NAMES[0]}.png"]).is_file()
    label = FolderMasks(str(tmp_path)).read(Wanted(NAMES[0], (6, 8), {1: NAMES[0]}), ("tumor",))
    assert label.sum() == 6


def test_own_pictures_and_raw_folders(tmp_path) -> None:
    for name in NAMES:
        save(tmp_path / "src" / f"{normalize('NFD', name)}.png")
        save(tmp_path / "src" / f"{normalize('NFC', name)}_mask.png")
    items = find_collection(tmp_path / "src").items
    assert [(item.problem, len(item.masks)) for item in items] == [(None, 1)] * 3
    assert main(["own", str(tmp_path / "src"), str(tmp_path / "out")]) == 0
    masks = [path.name for path in (tmp_path / "out" / "test_masks").iterdir()]
    assert sorted(masks) == sorted(f"{plain_name(name)}.png" for name in NAMES)
