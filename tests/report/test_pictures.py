"""Pictures are drawn where what they show, or what was computed, has changed, and only there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.report import kept
from medsam_exp.report.pictures import Picture, save_pictures

KEYS = {"saliency": "0123456789abcdef"}


def shades(drawn: list[str], **values: int) -> list[Picture]:
    """One picture for each name, a square of its value; those that are drawn are noted."""

    def draw(name: str) -> Image.Image:
        drawn.append(name)
        return Image.fromarray(np.full((4, 4, 3), values[name], np.uint8))

    return [Picture(f"group: {name}", name, values[name], lambda name=name: draw(name)) for name in values]


def shown(folder: Path) -> dict[str, int]:
    return {path.stem: int(np.asarray(Image.open(path))[0, 0, 0]) for path in folder.glob("*.png")}


def test_only_what_changed_is_drawn_again(tmp_path: Path) -> None:
    drawn: list[str] = []
    first = save_pictures(shades(drawn, a=1, b=2), tmp_path / "1", tmp_path / "kept", KEYS)
    assert drawn == ["a", "b"]
    again = save_pictures(shades(drawn, a=1, b=2), tmp_path / "2", tmp_path / "kept", KEYS)
    assert drawn == ["a", "b"]
    assert [(one.caption, one.source) for one in again] == [(one.caption, one.source) for one in first]
    assert [one.path.read_bytes() for one in again] == [one.path.read_bytes() for one in first]
    save_pictures(shades(drawn, a=1, b=3, c=4), tmp_path / "3", tmp_path / "kept", KEYS)
    assert drawn == ["a", "b", "b", "c"]
    assert shown(tmp_path / "3") == {"a": 1, "b": 3, "c": 4}


@pytest.mark.parametrize("changed", ["keys", "code"])
def test_other_results_or_other_code_draw_everything_again(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    save_pictures(shades(drawn, a=1), tmp_path, tmp_path / "kept", KEYS)
    if changed == "code":
        monkeypatch.setattr(kept, "code_digest", lambda: "other")
    keys = {"saliency": "fedcba9876543210"} if changed == "keys" else KEYS
    save_pictures(shades(drawn, a=1), tmp_path, tmp_path / "kept", keys)
    assert drawn == ["a", "a"]


def test_a_picture_is_drawn_where_nothing_can_be_kept(tmp_path: Path) -> None:
    drawn: list[str] = []
    (tmp_path / "kept").write_text("a file where a folder should be")
    for _ in range(2):
        save_pictures(shades(drawn, a=7), tmp_path / "run", tmp_path / "kept", KEYS)
    assert drawn == ["a", "a"]
    assert shown(tmp_path / "run") == {"a": 7}


def test_no_picture_makes_no_folder(tmp_path: Path) -> None:
    assert save_pictures([], tmp_path / "figures", tmp_path / "kept", {}) == []
    assert not list(tmp_path.iterdir())


def test_the_code_of_pictures_is_in_their_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: dict[str, Any] = {}
    for name in ("same", "same again", "changed"):
        for part in ("report/figures/one.py", "metrics/measures.py", "stages/pipeline.py"):
            path = tmp_path / name / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {'changed' if name == 'changed' and 'figures' in part else 'code'}")
        monkeypatch.setattr(kept.medsam_exp, "__file__", str(tmp_path / name / "__init__.py"))
        copies[name] = kept.code_digest.__wrapped__()
    assert copies["same"] == copies["same again"] != copies["changed"]
