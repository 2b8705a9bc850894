"""What a session answers is what a run answers, pixel for pixel, and what it keeps spares the networks."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.app.view import answer_message
from medsam_exp.cli.interactive.correction import Correction
from medsam_exp.cli.interactive.result import Answer, Draft
from medsam_exp.cli.interactive.session import Session
from medsam_exp.cli.runner import run
from medsam_exp.report.web.drawings import outline
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.records import prompt_record
from medsam_exp.types import UserError
from tests.cli.interactive.conftest import TEXT
from tests.compose import CONF, composed
from tests.stored import stored
from tests.text_segmenter.small import saved

CHOICES = {
    "defaults": {},
    "other methods": {
        "saliency": "gradient_rollout",
        "postprocess": "otsu",
        "component_filter": "none",
        "prompt": "both",
        "fusion": "average",
        "mask_filter": "largest",
    },
    "a veto": {"veto": "presence"},
}


def run_of(answer: Answer, folder: Path) -> tuple[Path, dict]:
    """Run the command of an answer in this process; the run's folder and its summary."""
    overrides = shlex.split(answer.question.command())[2:]
    run_dir = folder / "run"
    run_dir.mkdir(parents=True)
    run(composed(*overrides, f"paths.outputs={folder}"), run_dir, {}, overrides)
    return run_dir, json.loads((run_dir / "summary.json").read_text())


def assert_equal(answer: Answer, folder: Path) -> None:
    """Everything of an answer is what the run of its command left."""
    run_dir, summary = run_of(answer, folder)
    mask = np.asarray(Image.open(run_dir / "masks" / f"{answer.image_id}.png")) > 0
    assert np.array_equal(mask, answer.mask)
    stages = {stage: stored(folder / "artifacts" / stage / key) for stage, key in summary["keys"].items()}
    assert np.array_equal(read_map(stages["saliency"], answer.image_id), answer.saliency_map)
    assert np.array_equal(stages["coarse_mask"].mask(answer.image_id), answer.coarse_mask)
    record = stages["sam_mask"].info(answer.image_id)
    assert record["prompts"] == prompt_record(answer.prompts)
    assert record["iou_predictions"] == pytest.approx(list(answer.iou_predictions), abs=1e-6)
    assert stages["presence"].info(answer.image_id)["score"] == answer.presence


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(choices, id=name, marks=[pytest.mark.slow] if name == "a veto" else [])
        for name, choices in CHOICES.items()
    ],
)
def test_an_answer_is_what_the_run_of_its_command_gives(
    choices: dict[str, str], scan: Path, tmp_path: Path
) -> None:
    with Session() as session:
        answer = session.segment(scan, TEXT, choices)
        assert_equal(answer, tmp_path)
        assert answer.mask.any() or answer.vetoed


def test_a_corrected_answer_is_what_the_run_of_its_command_gives(
    session: Session, scan: Path, tmp_path: Path
) -> None:
    answer = session.segment(scan, TEXT, {"prompt": "both"})
    pushed = session.correct(answer, Correction(points=((160, 110, 1), (140, 40, 0))))
    assert not np.array_equal(pushed.mask, answer.mask)
    assert_equal(pushed, tmp_path / "points")
    drawn = session.correct(answer, Correction(points=((40, 140, 1),), box=(16, 80, 112, 180)))
    assert drawn.mask[110:150, 30:80].mean() > 0.5
    assert_equal(drawn, tmp_path / "box")


def test_another_threshold_is_what_the_run_of_its_command_gives(
    session: Session, scan: Path, tmp_path: Path
) -> None:
    answer = session.threshold(session.segment(scan, TEXT, {"prompt": "points"}), 0.4567)
    assert "postprocess.value=0.457" in answer.question.command()
    assert np.array_equal(answer.coarse_mask.any(), True)
    assert_equal(answer, tmp_path)


def test_a_correction_runs_no_encoder_and_takes_less_than_300_ms(
    session: Session, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = session.segment(scan, TEXT)
    monkeypatch.setattr("medsam_exp.sam.model.SamModel.encode", lambda *_: pytest.fail("SAM encoded again"))
    monkeypatch.setattr("medsam_exp.sam.load.load_sam", lambda **_: pytest.fail("SAM was loaded again"))
    monkeypatch.setattr("medsam_exp.clip.load.load_clip", lambda **_: pytest.fail("CLIP was loaded"))
    taken = [
        session.correct(answer, Correction(points=((160 + step, 110, 1),))).seconds["correction"]
        for step in range(5)
    ]
    assert min(taken) < 0.3


def test_a_rivals_mask_comes_with_the_answer_and_is_that_of_a_run(scan: Path, tmp_path: Path) -> None:
    settings = (
        f"text_segmenter.model={saved('clipseg', tmp_path / 'clipseg')}",
        "text_segmenter.threshold=0.4",
    )
    with Session(settings) as session:
        answer = session.segment(scan, TEXT, {"text_segmenter": "clipseg", "saliency": "patch_text"})
        again = session.segment(scan, TEXT, {"saliency": "patch_text"})
    assert answer.rival is not None
    assert answer.rival.mask.any()
    assert not answer.rival.mask.all()
    _, summary = run_of(answer, tmp_path)
    kept = stored(tmp_path / "artifacts" / "text_mask" / summary["keys"]["text_mask"])
    assert np.array_equal(kept.mask(answer.image_id), answer.rival.mask)
    assert kept.info(answer.image_id)["presence"] == pytest.approx(answer.rival.presence, abs=1e-6)
    assert answer.record()["text_mask"]["area_px"] == answer.rival.mask.sum()
    assert again.rival is None
    assert "text_mask" not in again.record()
    assert np.array_equal(again.mask, answer.mask)
    message = json.loads(answer_message(answer, "scan.png", note="", whole=False))
    assert message["rival"] == outline(answer.rival.mask)
    assert json.loads(answer_message(again, "scan.png", note="", whole=False))["rival"] == ""


def test_a_draft_is_the_map_of_patch_text_and_leaves_the_answer_alone(session: Session, scan: Path) -> None:
    text = "a small bright round tumor"
    with Session() as other:
        draft, answer = other.segment_with_draft(scan, text)
    assert isinstance(draft, Draft)
    assert isinstance(answer, Answer)
    assert (draft.method, draft.text) == ("patch_text", text)
    assert np.array_equal(
        draft.saliency_map, session.segment(scan, text, {"saliency": draft.method}).saliency_map
    )
    without = session.segment(scan, text)
    assert not np.array_equal(draft.saliency_map, answer.saliency_map)
    for name in ("image", "saliency_map", "coarse_mask", "mask"):
        assert getattr(answer, name).tobytes() == getattr(without, name).tobytes()
    assert answer.record()["command"] == without.record()["command"]


def test_no_draft_of_what_is_known_or_as_fast_or_reads_no_text(session: Session, scan: Path) -> None:
    session.segment(scan, TEXT)
    for choices in ({}, {"saliency": "patch_text"}, {"saliency": "attention_rollout"}):
        (answer,) = session.segment_with_draft(scan, TEXT, choices)
        assert isinstance(answer, Answer)


def test_what_is_known_is_not_computed_again(session: Session, scan: Path) -> None:
    first = session.segment(scan, "a dark oval cyst")
    again = session.segment(scan, "a dark oval cyst")
    assert set(again.reused) == {"saliency", "presence", "coarse_mask", "sam_embedding", "sam_mask"}
    assert np.array_equal(first.mask, again.mask)
    other = session.segment(scan, "a bright ring", {"postprocess": "otsu"})
    assert other.reused == ("sam_embedding",)
    cut = session.segment(scan, "a bright ring", {"postprocess": "threshold"})
    assert set(cut.reused) == {"saliency", "presence", "sam_embedding"}


def test_another_file_of_the_same_name_is_another_image(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    shapes = []
    for number in (11, 14):
        Image.fromarray(np.full((40, 40 + number, 3), 90, np.uint8)).save(path)
        shapes.append(session.segment(path, TEXT).mask.shape)
    assert shapes == [(40, 51), (40, 54)]


def test_only_the_last_images_are_kept_and_nothing_after_closing(tmp_path: Path) -> None:
    with Session(images=1) as session:
        for number in range(3):
            path = tmp_path / f"{number}.png"
            Image.fromarray(np.full((32, 32 + number), 80, np.uint8)).save(path)
            session.segment(path, TEXT)
        folder = session._folder
        assert len(list(folder.iterdir())) == 1
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("image", "text", "choices", "said"),
    [
        ("scan", "  ", {}, "the text is empty"),
        ("missing.png", TEXT, {}, r"missing\.png does not exist"),
        ("scan", TEXT, {"sam": "vit_x"}, "sam has no choice vit_x; did you mean vit_l"),
        ("scan", TEXT, {"sam": "vit_b"}, r"sam\.checkpoint=.*is not a file"),
        ("scan", TEXT, {"sam": "medsam", "prompt": "points"}, "boxes only"),
        ("scan", TEXT, {"saliency": "gradcam", "clip": "openai_vit_x"}, "openai_vit_x"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(
    image: str, text: str, choices: dict[str, str], said: str, session: Session, scan: Path
) -> None:
    with Session() as own, pytest.raises(UserError, match=said):
        own.segment(scan if image == "scan" else Path(image), text, choices)


def test_background_points_alone_are_refused(session: Session, scan: Path) -> None:
    answer = session.segment(scan, TEXT)
    with pytest.raises(UserError, match="only background points"):
        session.correct(answer, Correction(points=((5, 5, 0),), keep_automatic=False))


@pytest.mark.slow
def test_the_command_works_as_pasted(session: Session, scan: Path, tmp_path: Path) -> None:
    answer = session.correct(
        session.segment(scan, "it's a \"mass\", isn't it?"), Correction(box=(120, 60, 200, 160))
    )
    command = answer.question.command().replace(
        "medsam-exp run", f"{sys.executable} {CONF.parent / 'run.py'}"
    )
    environment = {**os.environ, "MEDSAM_OUTPUTS": str(tmp_path), "PYTHONPATH": str(CONF.parent)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    path = next(tmp_path.glob("runs/one_image/*/masks/*.png"))
    assert np.array_equal(np.asarray(Image.open(path)) > 0, answer.mask)
