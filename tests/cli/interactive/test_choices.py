"""What can be chosen is what lies in conf/, with its comments, and what it lacks."""

import socket
from pathlib import Path

import pytest

from medsam_exp.cli.interactive.choices import Choice, choices_of, default_of, problem_of
from medsam_exp.cli.interactive.groups import GROUPS
from tests.compose import CONF, composed


@pytest.mark.parametrize("group", GROUPS)
def test_choices_are_those_of_conf_with_their_comments(group: str) -> None:
    choices = {choice.name: choice for choice in choices_of(group)}
    files = {path.stem for path in (CONF / group).glob("*.yaml")}
    left_out = files - set(choices)
    assert left_out <= {"folder", "tiny_random", "tiny_scratch", "given"}
    for choice in choices.values():
        assert (CONF / group / f"{choice.name}.yaml").read_text().startswith(f"# {choice.comment[:20]}")
    assert default_of(group) in choices


def test_defaults_are_those_of_a_run() -> None:
    assert composed()[("sam")].architecture == default_of("sam") == "tiny"
    assert default_of("postprocess") == "kmeans"


def test_embedded_networks_lack_nothing_and_others_say_what(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a socket was opened"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert problem_of(Choice("clip", "tiny", ""), str(tmp_path)) is None
    assert problem_of(Choice("sam", "tiny", ""), str(tmp_path)) is None
    assert problem_of(Choice("prompt", "box", ""), str(tmp_path)) is None
    assert f"{tmp_path}/sam_vit_b_01ec64.pth is not a file" in str(
        problem_of(Choice("sam", "vit_b", ""), str(tmp_path))
    )
    for name in ("sam3", "owlv2"):
        problem = str(problem_of(Choice("text_segmenter", name, ""), str(tmp_path)))
        assert f"{tmp_path}/{name} is neither a folder nor a file" in problem
    finetuned = str(problem_of(Choice("clip", "biomedclip_finetuned", ""), str(tmp_path)))
    assert "cannot be downloaded" in finetuned or "is not a file" in finetuned
    assert problem_of(Choice("text_segmenter", "salip", ""), str(tmp_path)) is None, (
        "CLIP and SAM are said to lack"
    )
    for group in GROUPS:
        for choice in choices_of(group):
            problem_of(choice, str(tmp_path))
    (tmp_path / "sam_vit_b_01ec64.pth").touch()
    assert problem_of(Choice("sam", "vit_b", ""), str(tmp_path)) is None
