"""Every choice of conf/prompt turns every kind of mask into prompts that SAM can take, the same each time."""

import numpy as np
import pytest

from medsam_exp.config.build import build
from medsam_exp.sam.prompt.on_image import prompter_of
from medsam_exp.stages.records import prompt_record, prompts_of
from medsam_exp.testing.arrays import example_masks
from medsam_exp.testing.sam import check_prompter
from medsam_exp.types import MapPrompter, Prompter
from tests.compose import CONF, choices, composed

CHOICES = choices("prompt")
WITH_NEGATIVES = {
    choice: [f"prompt.{key}=4"]
    for choice in CHOICES
    for key in ("negative_count", "points.negative_count")
    if f"{key.split('.')[0]}:" in (CONF / "prompt" / f"{choice}.yaml").read_text()
    or (key.startswith("points.") and "@points" in (CONF / "prompt" / f"{choice}.yaml").read_text())
}
GIVEN = {"given": ["prompt.prompts=[{box: [0, 0, 2, 1]}]"]}  # what a choice cannot do without
CASES = [
    (choice, options)
    for choice in CHOICES
    for options in ([], WITH_NEGATIVES.get(choice))
    if options is not None
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join([case[0], *case[1]]))
def case(request: pytest.FixtureRequest) -> tuple[str, Prompter | MapPrompter]:
    """A choice as configured, and with background points where it has such an option."""
    choice, options = request.param
    return choice, build(composed(f"prompt={choice}", *GIVEN.get(choice, []), *options).prompt)


def test_contract(case: tuple[str, Prompter | MapPrompter]) -> None:
    choice, prompter = case
    whole = choice.endswith("_released")  # the released code gives every prompt the points of the whole mask
    check_prompter(prompter, per_component=not whole)


def test_prompts_survive_their_record(case: tuple[str, Prompter | MapPrompter]) -> None:
    prompter, generator = case[1], np.random.default_rng(0)
    image = generator.integers(0, 256, (47, 21, 3), np.uint8)
    prompter = prompter_of(prompter, lambda: generator.random((47, 21), np.float32), lambda: image)
    prompts = prompter(example_masks((47, 21))["a disk and a pixel"], generator)
    again = prompts_of(prompt_record(prompts))
    assert prompt_record(again) == prompt_record(prompts)
    for name in ("boxes_xyxy", "point_coords", "point_labels"):
        assert getattr(again, name) is None or getattr(again, name).dtype == getattr(prompts, name).dtype
