import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.coco import read_coco
from medsam_exp.data.folder import FolderDataset
from medsam_exp.types import UserError
from tests.command import command

main = command("prepare")

SIZE = (60, 80)
CATEGORIES = [{"id": 1, "name": "Lesion"}, {"id": 4, "name": "Vessel"}]


def circle(x: float, y: float, radius: float) -> list[float]:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    return np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)]).ravel().tolist()


def rectangle(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def annotations(path: Path, shapes: list, categories=CATEGORIES, size=SIZE, name: str = "a.png") -> Path:
    """A file that gives one image these objects (category, segmentation)."""
    objects = [
        {"id": n, "image_id": 7, "category_id": category, "segmentation": shape}
        for n, (category, shape) in enumerate(shapes)
    ]
    image = {"id": 7, "file_name": name, "height": size[0], "width": size[1]}
    path.write_text(json.dumps({"images": [image], "annotations": objects, "categories": categories}))
    return path


def drawn(path: Path, shapes: list) -> np.ndarray:
    found = read_coco(annotations(path, shapes))
    assert found is not None
    return found.images[0].labels(SIZE)


def test_outlines_have_the_area_and_place_of_their_shapes(tmp_path) -> None:
    labels = drawn(tmp_path / "a.json", [(1, [circle(30, 25, 15)]), (4, [rectangle(60, 10, 12, 7)])])
    assert (labels == 1).sum() == pytest.approx(np.pi * 15**2, abs=2 * np.pi * 15 / 4)
    rows, columns = np.nonzero(labels == 1)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((30, 25), abs=0.1)
    expected = np.zeros(SIZE, bool)
    expected[10:17, 60:72] = True  # from corner to corner: 12 x 7 pixels
    assert ((labels == 4) == expected).all()


def test_several_outlines_of_one_object_and_what_sticks_out(tmp_path) -> None:
    labels = drawn(tmp_path / "a.json", [(1, [rectangle(-5, -5, 10, 10), rectangle(70, 50, 30, 30)])])
    assert labels[:5, :5].all()
    assert labels[50:, 70:].all()
    assert labels.sum() == 25 + 100


def packed(runs: list[int]) -> str:
    """COCO's compressed text, by its description: differences from the fourth run on, 5 bits a letter."""
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
            if not more:
                break
    return text


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths_go_down_the_columns(tmp_path, compressed) -> None:
    mask = np.random.default_rng(3).random(SIZE) > 0.6
    mask[:, 20:60] = False
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    shape = {"counts": packed(runs) if compressed else runs, "size": list(SIZE)}
    assert (drawn(tmp_path / "a.json", [(4, shape)]) == mask * 4).all()


def test_a_known_compressed_text(tmp_path) -> None:
    """3 background, 2 object, 4 background of a picture of 3 x 3, written by hand."""
    found = read_coco(annotations(tmp_path / "a.json", [(1, {"counts": "324", "size": [3, 3]})], size=(3, 3)))
    assert found is not None
    assert found.images[0].labels((3, 3)).tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_overlapping_objects_have_the_highest_label(tmp_path) -> None:
    shapes = [(4, [rectangle(0, 0, 10, 10)]), (1, [rectangle(5, 0, 10, 10)])]
    labels = drawn(tmp_path / "a.json", shapes)
    assert ((labels == 4).sum(), (labels == 1).sum()) == (100, 50)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([[1, 2, 3, 4]], "an outline has 2 points"),
        ([[1, 2, 3]], "makes no sense"),
        ({"counts": [5, 5], "size": [60, 80]}, "its runs do not fill 80 x 60 pixels"),
        ({"counts": [4800], "size": [80, 60]}, "its runs do not fill"),
        ({"counts": "~~", "size": [60, 80]}, "its runs"),
    ],
)
def test_objects_that_make_no_sense_are_named(tmp_path, shape, words) -> None:
    with pytest.raises(UserError, match=f"a.json has an object of a.png .*{words}"):
        drawn(tmp_path / "a.json", [(1, shape)])


def test_other_files_and_other_annotations(tmp_path) -> None:
    path = tmp_path / "a.json"
    for content in ("", "{", "[]", '{"images": 1}', '{"images": [], "annotations": []}', "\x80"):
        path.write_text(content)
        assert read_coco(path) is None
    with pytest.raises(UserError, match="without an outline"):
        read_coco(annotations(path, [(1, [])]))
    with pytest.raises(UserError, match=r"a.json has damaged annotations"):
        read_coco(annotations(path, [(9, [rectangle(0, 0, 3, 3)])]))
    with pytest.raises(UserError, match=r"says that a.png has 80 x 60 pixels, it has 60 x 60"):
        read_coco(annotations(path, [])).images[0].labels((60, 60))  # type: ignore[union-attr]


def test_own_images_with_outlines_become_masks(tmp_path, capsys) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full(SIZE, 90, np.uint8)).save(source / f"{name}.png")
    categories = [{"id": 0, "name": "Lesion"}, {"id": 900, "name": "Vessel"}]
    shapes = [(0, [rectangle(10, 10, 20, 20)]), (900, [rectangle(50, 30, 5, 5)])]
    annotations(source / "annotations.json", shapes, categories, name="images/a.png")
    assert main(["own", str(source), str(tmp_path / "o")]) == 1
    assert "b.png has no mask, but others have" in capsys.readouterr().err
    content = json.loads((source / "annotations.json").read_text())
    content["images"].append({"id": 8, "file_name": "b.png"})
    (source / "annotations.json").write_text(json.dumps(content))
    assert main(["own", str(source), str(tmp_path / "out")]) == 0
    assert "'data.classes={lesion: [1], vessel: [2]}'" in capsys.readouterr().out
    data = FolderDataset("own", str(tmp_path / "out"), "test", classes={"lesion": 1, "vessel": 2})
    areas = {sample.id: int(data.read_ground_truth(sample.id).sum()) for sample in data.samples}
    assert areas == {"a@lesion": 400, "a@vessel": 25, "b@lesion": 0, "b@vessel": 0}
    assert main(["own", str(source), str(tmp_path / "one"), "--foreground", "2"]) == 0
    assert FolderDataset("own", str(tmp_path / "one"), "test").read_ground_truth("a").sum() == 25
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(source / "b_mask.png")
    assert main(["own", str(source), str(tmp_path / "o")]) == 1
    assert re.search(
        r"b.png has a mask in .*b_mask.png and outlines in .*annotations.json", capsys.readouterr().err
    )
    assert main(["own", str(source), str(tmp_path / "skipped"), "--skip-faulty"]) == 0
    assert [path.name for path in (tmp_path / "skipped" / "test_masks").iterdir()] == ["a.png"]
    (source / "b_mask.png").unlink()
    (source / "b.png").unlink()
    assert main(["own", str(source), str(tmp_path / "o")]) == 1
    assert "annotations.json names 1 images that are not here (first: b.png)" in capsys.readouterr().err


def test_outlines_in_the_place_of_masks_have_a_way_out(tmp_path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / f"test_{kind}").mkdir()
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "test_images" / "a.png")
    annotations(tmp_path / "test_masks" / "annotations.json", [])
    with pytest.raises(
        UserError, match=r"test_masks has no mask images, but annotations.json: .*prepare own"
    ):
        FolderDataset("own", str(tmp_path), "test")
