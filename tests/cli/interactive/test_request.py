"""Whatever a text or a file's name holds, the command says it and nothing else."""

import shlex
from pathlib import Path

import pytest

from medsam_exp.cli.compose import composed
from medsam_exp.cli.interactive.request import Question
from medsam_exp.config.overrides import hydra_value

TEXTS = [
    "a dark mass",
    "X-ray of the chest: 50% opaque",
    "it's, (odd) {x: 1}=[2] \\ end\\",
    'say "hi" $HOME `x` !',
    "null",
    "3.5",
    "${oc.env:HOME}",
    "\\${x} \\\\${y}",
    "ends with a quote'",
    "a\\'b",
    "ünïcode β\ttab",
    "a  b",
    "-x ~y +z",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_arrives_as_it_was_typed(text: str) -> None:
    question = Question(Path(f"{text.replace('/', '')}.png"), text)
    cfg = composed(shlex.split(question.command())[2:])
    assert cfg.text.text == text
    assert cfg.data.path == str(question.image)


def test_values_of_all_kinds() -> None:
    assert (
        hydra_value([{"box": [1, 2.5, 3, 4.0], "points": [[1, 2, 0]]}])
        == "[{box:[1,2.5,3,4],points:[[1,2,0]]}]"
    )
    assert hydra_value("/tmp/a scan.png") == "/tmp/a scan.png"


def test_a_plain_question_is_a_plain_command() -> None:
    question = Question(Path("scan.png"), "a dark mass", {"sam": "vit_b", "clip": "biomedclip"})
    assert question.command() == (
        'medsam-exp run +experiment=one_image data.path=scan.png text.text="a dark mass" clip=biomedclip sam=vit_b'
    )


def test_choices_may_come_as_settings() -> None:
    asked = Question(Path("scan.png"), "a mass", {"sam": "tiny"}, ("clip=biomedclip", "sam=vit_h", "seed=3"))
    assert asked.overrides()[3:] == ["clip=biomedclip", "sam=tiny", "seed=3"]


def test_given_prompts_take_the_place_of_the_chosen_ones() -> None:
    asked = Question(Path("s.png"), "m", {"prompt": "points"}, ("prompt.count=3",), [{"points": [[1, 2, 1]]}])
    assert asked.overrides()[3:] == ["prompt=given", "prompt.prompts=[{points:[[1,2,1]]}]"]
