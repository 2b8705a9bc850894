import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from medsam_exp.cli import auto_sam
from medsam_exp.cli.auto_sam import choice_of, segmenters
from medsam_exp.cli.compose import composed, with_names
from medsam_exp.cli.doctor.machine import Gpu
from medsam_exp.cli.run import run
from medsam_exp.cli.weights.catalogue import find
from medsam_exp.sam.families import FAMILIES
from medsam_exp.types import UserError
from tests.compose import choices

GB = 10**9


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """`(names of the catalogue, ...)` leaves files of their names and sizes, and of zeros, in the folder of weights."""
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(tmp_path))

    def leave(*names: str) -> Path:
        for name in names:
            for file in find(name).files:
                with (tmp_path / file.path).open("wb") as hole:
                    hole.truncate(file.bytes)
        return tmp_path

    return leave


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`(free memory, free memory of a GPU)`, bytes."""

    def describe(free: int | None, gpu: int | None = None) -> None:
        gpus = () if gpu is None else (Gpu("a GPU", 2 * gpu, gpu),)
        monkeypatch.setattr(auto_sam, "look", lambda _: SimpleNamespace(memory_free=free, gpus=gpus))

    describe(64 * GB)
    return describe


def test_every_segmenter_of_the_catalogue_is_a_choice_of_its_architectures_name() -> None:
    for weights in segmenters():
        assert choice_of(weights) in choices("sam")
        assert choice_of(weights) in FAMILIES
        assert re.search(r"[\d.]+ M parameters", weights.architecture)


@pytest.mark.parametrize(
    ("words", "here", "gpu", "chosen"),
    [
        ([], ("sam_vit_b", "mobile_sam", "sam_vit_h"), None, "mobile_sam"),
        (["trainer=gpu"], ("sam_vit_b", "mobile_sam", "sam_vit_h"), 16 * GB, "vit_h"),
        (["trainer=gpu"], ("sam_vit_b", "mobile_sam", "sam_vit_h"), 3 * GB, "vit_b"),
        ([], ("sam_vit_b", "mobile_sam", "sam_vit_h"), 16 * GB, "mobile_sam"),  # trainer=cpu is the default
        (["prompt=points"], ("lite_medsam", "sam_vit_b"), None, "vit_b"),
        (["prompt=map_and_box"], ("edgetam", "sam_vit_b"), None, "vit_b"),
        ([], ("lite_medsam", "sam_vit_b"), None, "lite_medsam"),
    ],
)
def test_which_is_taken(
    put, machine, capsys: pytest.CaptureFixture[str], words: list[str], here, gpu: int | None, chosen: str
) -> None:
    put(*here)
    machine(64 * GB, gpu)
    assert with_names([*words, "sam=auto", "data.count=2"]) == [*words, f"sam={chosen}", "data.count=2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sam=auto takes {chosen}: of what is here and fits into ")
    assert ("for a GPU" in line) == ("trainer=gpu" in words)


def test_the_configuration_is_that_of_the_name_byte_by_byte(put, machine) -> None:
    put("sam_med2d")  # which brings a fusion of its own
    auto, by_name = (composed([f"sam={name}", "data.count=2"]) for name in ("auto", "sam_med2d"))
    assert OmegaConf.to_yaml(auto, resolve=False) == OmegaConf.to_yaml(by_name, resolve=False)
    assert auto.fusion._target_.endswith("BestIou")


def test_hydra_s_own_record_is_that_of_the_name(put, machine, capsys: pytest.CaptureFixture[str]) -> None:
    """What was typed and what was chosen go into a run's record; all of it is printed by `--cfg all`."""
    put("mobile_sam")
    printed = []
    for name in ("auto", "mobile_sam"):
        run(f"sam={name}", "data.count=2", "--cfg", "all")
        printed.append(capsys.readouterr().out)
    assert "sam: mobile_sam" in printed[0]
    assert "- sam=mobile_sam" in printed[0]
    assert printed[0] == printed[1]


def test_in_a_sweep_it_is_a_name_among_others(put, machine) -> None:
    put("edgetam")
    words = ["-m", "sam=vit_b,auto", "prompt=box,points", "text.text=a, b"]
    assert with_names(words) == ["-m", "sam=vit_b,edgetam", *words[2:]]
    assert with_names(["-m", "sam=edgetam,auto"]) == ["-m", "sam=edgetam"]


def test_other_words_are_left_alone_and_cost_nothing(put, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["sam=vit_b"], ["text.text=sam=auto"], ["+sweep=sam", "-m"]):
        assert with_names(words) == words
    assert capsys.readouterr().err == ""


def test_choices_of_ones_own_are_known(put, machine, tmp_path: Path) -> None:
    put("mobile_sam")
    own = tmp_path / "conf"
    (own / "prompt").mkdir(parents=True)
    (own / "prompt" / "mine.yaml").write_text("_target_: medsam_exp.sam.prompt.box.BoxPerComponent\n")
    assert with_names(["prompt=mine", "sam=auto"], own) == ["prompt=mine", "sam=mobile_sam"]


@pytest.mark.parametrize(
    ("here", "free", "words", "said"),
    [
        ((), 64 * GB, [], r"finds no segmenter's weights in \S+; `medsam-exp weights get edgetam` fetches"),
        (
            ("sam_vit_h",),
            2 * GB,
            [],
            r"finds weights of vit_h, but none fits into 2.0 GB of free memory; `medsam-exp ",
        ),
        (
            ("medsam",),
            64 * GB,
            ["prompt=points"],
            r"medsam, but this prompt is for none of them: use prompt=",
        ),
        (("medsam",), 64 * GB, ["sam.checkpoint=x.pth"], r"sam.checkpoint names one: name its sam, too"),
    ],
)
def test_where_nothing_can_be_taken(put, machine, here, free: int, words: list[str], said: str) -> None:
    put(*here)
    machine(free)
    with pytest.raises(UserError, match=rf"^sam=auto [^\n]*{said}"):
        with_names(["sam=auto", *words])
