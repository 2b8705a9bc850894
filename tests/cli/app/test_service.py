"""What the app does for browser tabs, without a page."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.app.service import Desk, facts_of_two
from medsam_exp.cli.main import main
from medsam_exp.types import UserError

CHOICES = {"postprocess": "otsu"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    opened = Desk(
        tmp_path_factory.mktemp("uploads"),
        megapixels=0.1,
        tabs=3,
    )
    yield opened
    opened.close()


def uploaded(desk: Desk, side: int = 40, content: bytes | None = None) -> str:
    """A file where Gradio would have put it."""
    path = desk._folder / "uploads" / "scan.png"
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    else:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side), dtype=np.uint8)).save(path)
    return str(path)


def test_tabs_do_not_mix(desk: Desk) -> None:
    desk.upload("a", uploaded(desk, 40), "mine.png")
    desk.upload("b", uploaded(desk, 50), "yours.png")
    first = json.loads(desk.ask("a", "first", "a mass", CHOICES))
    second = json.loads(desk.ask("b", "first", "a ring", CHOICES))
    assert (first["width"], second["width"]) == (40, 50)
    assert (first["text"], second["text"]) == ("a mass", "a ring")
    assert "data.path=mine.png" in first["command"]
    corrected = json.loads(desk.correct("a", "first", [[3, 4, 1], [99, -5, 0]], None))
    assert corrected["corrected"]
    assert "[39,0,0]" in corrected["command"]
    assert json.loads(desk.correct("b", "first", [], None))["corrected"] is False
    assert desk.current("b")["first"].question.prompts is None


def test_a_cleared_correction_is_the_first_answer(desk: Desk) -> None:
    desk.upload("a", uploaded(desk), "mine.png")
    before = json.loads(desk.ask("a", "first", "a mass", CHOICES))
    desk.correct("a", "first", [], [5.0, 5.0, 30.0, 99.0])
    after = json.loads(desk.correct("a", "first", [], None))
    same = ("mask", "coarse", "boxes", "points", "command", "mask_png")
    assert {key: before[key] for key in same} == {key: after[key] for key in same}


def test_a_threshold_stays_under_later_corrections(desk: Desk) -> None:
    desk.upload("a", uploaded(desk), "mine.png")
    desk.ask("a", "first", "a mass", CHOICES)
    assert json.loads(desk.threshold("a", "first", 7))["threshold"] == 1.0
    cut = json.loads(desk.threshold("a", "first", 0.25))
    corrected = json.loads(desk.correct("a", "first", [], [5, 5, 30, 30]))
    assert cut["threshold"] == corrected["threshold"] == 0.25
    assert corrected["coarse"] == cut["coarse"]
    assert "postprocess.value=0.25" in corrected["command"]


def test_no_file_outside_the_uploads_is_read(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    for path in (str(secret), f"{desk._folder}/uploads/../../{tmp_path.name}/secret.png"):
        with pytest.raises(UserError, match="was not uploaded here"):
            desk.upload("a", path, "secret.png")
    assert secret.is_file()


def test_names_of_files_cannot_leave_the_folder(desk: Desk) -> None:
    for name in ("../../evil.png", "C:\\scans\\evil.png", "/etc/evil.png"):
        desk.upload("a", uploaded(desk), name)
        tab = desk._tab("a")
        assert tab.name == "evil.png"
        assert tab.image is not None
        assert tab.image.is_relative_to(desk._folder / "tabs")


@pytest.mark.parametrize(
    ("content", "side", "said"),
    [
        (b"no image at all", 0, r"^notes\.png cannot be read as an image"),
        (b"", 0, r"^notes\.png is empty"),
        (None, 400, r"^notes\.png has 400 x 400 pixels, more than the 0\.1 megapixels"),
    ],
)
def test_what_is_no_image_is_said_without_paths_of_this_machine(
    content: bytes | None, side: int, said: str, desk: Desk
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        desk.upload("a", uploaded(desk, side, content), "notes.png")
    assert str(desk._folder) not in str(caught.value)
    with pytest.raises(UserError, match="there is no image yet"):
        desk.ask("a", "first", "a mass", CHOICES)


def test_what_comes_too_early_is_said(desk: Desk) -> None:
    with pytest.raises(UserError, match="nothing is segmented yet"):
        desk.correct("new", "first", [[1, 1, 1]], None)
    with pytest.raises(UserError, match="nothing is segmented yet"):
        desk.threshold("new", "first", 0.5)
    desk.example("new", 0)
    with pytest.raises(UserError, match="the text is empty"):
        desk.ask("new", "first", " ", CHOICES)


def test_tabs_that_are_closed_or_long_unused_are_forgotten_with_their_files(desk: Desk) -> None:
    for who in ("a", "b", "c", "d"):
        desk.upload(who, uploaded(desk), "mine.png")
    kept = {path.name for path in (desk._folder / "tabs").iterdir() if any(path.iterdir())}
    assert kept == {"b", "c", "d"}
    desk.leave("c")
    assert not (desk._folder / "tabs" / "c").exists()


def test_an_example_brings_its_texts_and_how_to_draw_it(desk: Desk) -> None:
    message, text, second = desk.example("a", 2)
    assert json.loads(message)["answered"] is False
    assert "spiculated" in text
    assert "cyst" in second
    answer = json.loads(desk.ask("a", "first", text, {}))
    assert "data.path=examples/chest_xray.png" in answer["command"]
    assert "medsam-exp app-examples" in answer["command_note"]
    desk.ask("a", "second", second, {})
    assert "overlap with a DSC of" in facts_of_two(*desk.current("a").values())


def test_the_examples_command_draws_what_the_app_shows(desk: Desk, tmp_path: Path) -> None:
    assert main(["app-examples", str(tmp_path / "examples")]) == 0
    for path in (tmp_path / "examples").glob("*.png"):
        assert path.read_bytes() == (desk._folder / "examples" / path.name).read_bytes()
    shutil.rmtree(tmp_path / "examples")
