"""What the app does for browser tabs, without a page."""

import base64
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.app.service import Service, _Item, _named_masks, facts_of_two
from medsam_exp.cli.main import main
from medsam_exp.types import UserError

CHOICES = {"postprocess": "otsu"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    opened = Service(
        tmp_path_factory.mktemp("uploads"),
        megapixels=0.1,
        tabs=3,
    )
    yield opened
    opened.close()


def uploaded(service: Service, side: int = 40, content: bytes | None = None) -> str:
    """A file where Gradio would have put it."""
    path = service._folder / "uploads" / "scan.png"
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    else:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side), dtype=np.uint8)).save(path)
    return str(path)


def answered(service: Service, *question: Any) -> str:
    """The last message, that of the answer."""
    return list(service.ask(*question))[-1]


def test_tabs_do_not_mix(service: Service) -> None:
    service.upload("a", uploaded(service, 40), "mine.png")
    service.upload("b", uploaded(service, 50), "yours.png")
    first = json.loads(answered(service, "a", "first", "a mass", CHOICES))
    second = json.loads(answered(service, "b", "first", "a ring", CHOICES))
    assert (first["width"], second["width"]) == (40, 50)
    assert (first["text"], second["text"]) == ("a mass", "a ring")
    assert "data.path=mine.png" in first["command"]
    corrected = json.loads(service.correct("a", "first", [[3, 4, 1], [99, -5, 0]], None))
    assert corrected["corrected"]
    assert "[39,0,0]" in corrected["command"]
    assert json.loads(service.correct("b", "first", [], None))["corrected"] is False
    assert service.current("b")["first"].question.prompts is None


def test_a_draft_comes_before_an_answer_that_takes_long(service: Service) -> None:
    service.upload("a", uploaded(service), "mine.png")
    draft, answer = map(json.loads, service.ask("a", "first", "a new mass", CHOICES))
    assert (draft["answered"], answer["answered"]) == (False, True)
    assert draft["said"].startswith("draft (patch_text)")
    assert draft["saliency"] not in (None, answer["saliency"])
    assert draft["serial"] < answer["serial"]


def test_a_cleared_correction_is_the_first_answer(service: Service) -> None:
    service.upload("a", uploaded(service), "mine.png")
    before = json.loads(answered(service, "a", "first", "a mass", CHOICES))
    service.correct("a", "first", [], [5.0, 5.0, 30.0, 99.0])
    after = json.loads(service.correct("a", "first", [], None))
    same = ("mask", "coarse", "boxes", "points", "command", "mask_png")
    assert {key: before[key] for key in same} == {key: after[key] for key in same}


def test_a_threshold_stays_under_later_corrections(service: Service) -> None:
    service.upload("a", uploaded(service), "mine.png")
    answered(service, "a", "first", "a mass", CHOICES)
    assert json.loads(service.threshold("a", "first", 7))["threshold"] == 1.0
    cut = json.loads(service.threshold("a", "first", 0.25))
    corrected = json.loads(service.correct("a", "first", [], [5, 5, 30, 30]))
    assert cut["threshold"] == corrected["threshold"] == 0.25
    assert corrected["coarse"] == cut["coarse"]
    assert "postprocess.value=0.25" in corrected["command"]


def test_no_file_outside_the_uploads_is_read(service: Service, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    for path in (str(secret), f"{service._folder}/uploads/../../{tmp_path.name}/secret.png"):
        with pytest.raises(UserError, match="was not uploaded here"):
            service.upload("a", path, "secret.png")
    assert secret.is_file()


def test_names_of_files_cannot_leave_the_folder(service: Service) -> None:
    for name in ("../../evil.png", "C:\\scans\\evil.png", "/etc/evil.png"):
        service.upload("a", uploaded(service), name)
        tab = service._tab("a")
        assert tab.name == "evil.png"
        assert tab.image is not None
        assert tab.image.is_relative_to(service._folder / "tabs")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("..", "image"),
        ("a/..", "image"),
        (".", "image"),
        ("a\0b.png", "ab.png"),
        ("a\nb.png", "ab.png"),
        ("ü" * 400 + ".png", "ü" * 58 + ".png"),
        ("a." + "b" * 400, "image"),
    ],
)
def test_any_name_can_be_stored(name: str, kept: str, service: Service) -> None:
    service.upload("a", uploaded(service), name)
    assert service._tab("a").name == kept


def test_an_image_is_refused_before_it_is_decoded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("medsam_exp.cli.app.service.read_image")
    with pytest.raises(UserError, match=r"^scan\.png has 400 x 400 pixels, more than the 0\.1 megapixels"):
        service.upload("a", uploaded(service, 400), "scan.png")


def test_a_text_that_is_too_long_is_refused(service: Service) -> None:
    service.upload("a", uploaded(service), "mine.png")
    with pytest.raises(UserError, match="1,001 letters, more than the 1,000 that are taken here: shorten it"):
        answered(service, "a", "first", "a" * 1001, CHOICES)


@pytest.mark.parametrize(
    ("content", "side", "said"),
    [
        (b"no image at all", 0, r"^notes\.png cannot be read as an image"),
        (b"", 0, r"^notes\.png is empty"),
        (None, 400, r"^notes\.png has 400 x 400 pixels, more than the 0\.1 megapixels"),
    ],
)
def test_what_is_no_image_is_said_without_paths_of_this_machine(
    content: bytes | None, side: int, said: str, service: Service
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        service.upload("a", uploaded(service, side, content), "notes.png")
    assert str(service._folder) not in str(caught.value)
    with pytest.raises(UserError, match="there is no image yet"):
        answered(service, "a", "first", "a mass", CHOICES)


def test_what_comes_too_early_is_said(service: Service) -> None:
    with pytest.raises(UserError, match="nothing is segmented yet"):
        service.correct("new", "first", [[1, 1, 1]], None)
    with pytest.raises(UserError, match="nothing is segmented yet"):
        service.threshold("new", "first", 0.5)
    service.example("new", 0)
    with pytest.raises(UserError, match="the text is empty"):
        answered(service, "new", "first", " ", CHOICES)


def test_tabs_that_are_closed_or_long_unused_are_forgotten_with_their_files(service: Service) -> None:
    for who in ("a", "b", "c", "d"):
        service.upload(who, uploaded(service), "mine.png")
    kept = {path.name for path in (service._folder / "tabs").iterdir() if any(path.iterdir())}
    assert kept == {"b", "c", "d"}
    service.leave("c")
    assert not (service._folder / "tabs" / "c").exists()


def test_an_example_brings_its_texts_and_how_to_draw_it(service: Service) -> None:
    message, text, second = service.example("a", 2)
    assert json.loads(message)["answered"] is False
    assert "spiculated" in text
    assert "cyst" in second
    answer = json.loads(answered(service, "a", "first", text, {}))
    assert "data.path=examples/chest_xray.png" in answer["command"]
    assert "medsam-exp app-examples" in answer["command_note"]
    answered(service, "a", "second", second, {})
    assert "overlap with a DSC of" in facts_of_two(*service.current("a").values())


def test_the_examples_command_draws_what_the_app_shows(service: Service, tmp_path: Path) -> None:
    assert main(["app-examples", str(tmp_path / "examples")]) == 0
    for path in (tmp_path / "examples").glob("*.png"):
        assert path.read_bytes() == (service._folder / "examples" / path.name).read_bytes()
    shutil.rmtree(tmp_path / "examples")


def test_several_images_are_a_gallery(service: Service) -> None:
    files = []
    for name, side in (("b.png", 30), ("a.png", 40)):
        path = service._folder / "uploads" / f"several_{name}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(side).integers(0, 255, (side, side), dtype=np.uint8)).save(path)
        files.append((str(path), name))
    bad = service._folder / "uploads" / "bad"
    bad.write_text("no image")
    message, left_out = service.upload_all("g", [*files, (str(bad), "c.png")])
    assert json.loads(message)["width"] == 40  # in the order of their names
    assert left_out.startswith("c.png cannot be read as an image: it is none of PNG")
    shown = json.loads(service.gallery("g"))
    assert [item["name"] for item in shown["items"]] == ["a.png", "b.png"]
    assert (shown["place"], shown["masks"]) == (0, False)
    assert json.loads(service.show("g", 3))["width"] == 30
    steps = list(service.batch("g", "a mass", CHOICES))
    assert [said for said, _ in steps[::2]] == ["Image 1 of 2: a.png", "Image 2 of 2: b.png"]
    assert [json.loads(message)["width"] for _, message in steps[1::2]] == [40, 30]
    packed = base64.b64decode(service.masks("g").partition(",")[2])
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["a_mask.png", "b_mask.png"]
        sizes = [Image.open(io.BytesIO(archive.read(name))).size for name in archive.namelist()]
    assert sizes == [(40, 40), (30, 30)]
    service.upload("g", uploaded(service, 20), "one.png")
    assert service.gallery("g") == ""


def test_a_batch_that_is_stopped_keeps_what_is_done(service: Service) -> None:
    files = []
    for number in range(3):
        path = service._folder / "uploads" / f"stopped_{number}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        files.append((str(path), f"{number}.png"))
    service.upload_all("stopped", files)
    assert not service.stop("stopped"), "nothing runs yet"
    list(service.batch("stopped", "a mass", CHOICES))
    assert service.segmented("stopped") == (3, 3)

    running = service.batch("stopped", "a dark mass", CHOICES)
    next(running)
    assert json.loads(service.gallery("stopped"))["running"]
    assert service.segmented("stopped") == (0, 3), "no mask of the other text is left"
    assert service.stop("stopped")
    assert [said for said, _ in running] == ["Image 1 of 3: 0.png"]
    shown = json.loads(service.gallery("stopped"))
    assert (shown["running"], shown["masks"], service.segmented("stopped")) == (False, True, (1, 3))
    list(service.batch("stopped", "a dark mass", CHOICES))
    assert service.segmented("stopped") == (3, 3)


def test_equal_stems_get_masks_of_their_own() -> None:
    items = [
        _Item(Path(name), name, "", "", mask=name.encode()) for name in ("a.png", "a.tif", "b.png", "a.jpg")
    ]
    assert list(_named_masks(items)) == ["a_mask.png", "a_mask_1.png", "b_mask.png", "a_mask_2.png"]


def test_a_correction_that_sam_ignores_is_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.upload("a", uploaded(service), "mine.png")
    answered(service, "a", "first", "a mass", CHOICES)
    monkeypatch.setattr(service._session, "correct", lambda answer, _: answer)
    assert "The mask did not change" in json.loads(service.correct("a", "first", [[3, 4, 1]], None))["said"]
    assert "did not change" not in json.loads(service.correct("a", "first", [], None))["said"]


def test_small_networks_are_named_beside_real_images_alone(service: Service) -> None:
    service.upload("a", uploaded(service), "mine.png")
    real = json.loads(answered(service, "a", "first", "a mass", CHOICES))
    assert real["caution"].startswith("CLIP and SAM were trained on synthetic scans only")
    assert real["facts"][1][1:] == ["–", "not valid on real images"]
    service.example("a", 0)
    assert json.loads(answered(service, "a", "first", "a mass", CHOICES))["caution"] == ""


def test_a_line_break_in_a_text_is_a_space(service: Service) -> None:
    service.upload("a", uploaded(service), "mine.png")
    assert (
        'text.text="a dark mass"'
        in json.loads(answered(service, "a", "first", "a dark\nmass", CHOICES))["command"]
    )


def test_a_dicom_image_has_a_window(service: Service) -> None:
    path = write_ct(service._folder / "uploads" / "ct.dcm")
    before = json.loads(service.upload("d", str(path), "ct.dcm"))
    assert before["window"] == {"low": -1000.0, "high": 600.0, "center": 50.0, "width": 400.0}
    after = json.loads(service.window("d", -600, 1500))
    assert (after["window"]["center"], after["window"]["width"]) == (-600, 1500)
    assert after["image"] != before["image"]
    answer = json.loads(answered(service, "d", "first", "a mass", CHOICES))
    assert answer["image"] == after["image"]
    assert 'data.window="[-600,1500]"' in answer["command"]
    service.upload("d", uploaded(service), "mine.png")
    with pytest.raises(UserError, match="only gray DICOM images"):
        service.window("d", 0, 1)


def write_ct(path: Path) -> Path:
    """A CT slice of 32 x 32 pixels, from -1000 to 600 HU, to be seen in the window 50, 400."""
    pydicom = pytest.importorskip("pydicom")
    values = np.linspace(-1000, 600, 32 * 32).round().reshape(32, 32)
    header = pydicom.Dataset()
    header.SOPClassUID, header.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
    header.Modality, header.PhotometricInterpretation, header.SamplesPerPixel = "CT", "MONOCHROME2", 1
    header.Rows, header.Columns, header.BitsAllocated, header.BitsStored, header.HighBit = 32, 32, 16, 16, 15
    header.PixelRepresentation, header.RescaleSlope, header.RescaleIntercept = 1, 1, 0
    header.WindowCenter, header.WindowWidth = 50, 400
    header.PixelData = values.astype("<i2").tobytes()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path.parent.mkdir(exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path
