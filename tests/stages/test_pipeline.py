"""The table of stages: rows name what exists, and a row of another package is a stage like any other."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from medsam_exp.config.schema import config_type
from medsam_exp.metrics.measures import MEASURES_WITHOUT_TRUTH
from medsam_exp.stages.pipeline import (
    STAGES,
    Stage,
    mask_stages,
    possible_parents,
    readers,
    reads_true_masks,
    register_stage,
    scored_labels,
    stage_colour,
    stage_place,
    stage_title,
    trainers,
    trial_stages,
)
from medsam_exp.types import UserError

GROWN = Stage(
    reads=("growth",),
    parents=("coarse_mask",),
    module="tests.grown",
    label="grown",
    title="Grown mask",
    colour="#117733",
    batch_size=3,
)


@pytest.fixture
def grown() -> Iterator[None]:
    register_stage("grown", GROWN)
    yield
    del STAGES["grown"]


def test_rows_name_stages_that_exist() -> None:
    for stage in STAGES.values():
        named = (*stage.parents, *stage.any_parent, *stage.optional_parents, *stage.cache_parents)
        assert {*named, *stage.conditional_parents, *stage.auxiliary_stages} <= set(STAGES)
        assert {*stage.weights, *stage.content_keyed, *stage.not_keyed} <= set(stage.reads)


def test_masks_in_the_order_of_results_and_in_that_of_readers() -> None:
    labels = ["text", "coarse", "sam", "reference_single", "reference", "weak_single", "weak"]
    assert list(mask_stages().values()) == labels
    assert sorted(labels, key=stage_place) == ["text", "coarse", "sam", "weak_single", "weak", *labels[3:5]]
    assert len({stage_colour(label) for label in labels}) == len(labels)


@pytest.mark.parametrize(
    ("measure", "scorer"),
    [("dsc", "evaluate"), ("hd95_px", "evaluate"), ("text_match", "text_match"), ("stability", "stability")],
)
def test_trials_run_what_a_mask_is_made_of_and_what_scores_it(measure: str, scorer: str) -> None:
    assert trial_stages(measure) == {
        "text": ["text_mask", scorer],
        "coarse": ["saliency", "coarse_mask", scorer],
        "sam": ["saliency", "coarse_mask", "sam_mask", scorer],
    }
    assert reads_true_masks(f"coarse/{measure}") == (scorer == "evaluate")


@pytest.mark.parametrize("measure", ["agreement", "expected_iou"])
def test_what_sam_says_is_a_score_of_its_masks_alone(measure: str) -> None:
    assert trial_stages(measure) == {"sam": ["saliency", "coarse_mask", "sam_mask", "agreement"]}
    assert not reads_true_masks(f"sam/{measure}")


def test_every_score_without_true_masks_has_one_stage_that_reads_none() -> None:
    given = [name for stage in STAGES.values() for name in stage.scores_masks]
    assert sorted(given) == sorted(measure.name for measure in MEASURES_WITHOUT_TRUTH)
    for stage in STAGES.values():
        if stage.scores_masks:
            assert stage.gives_scores
            assert stage.ground_truth is None
            assert not stage.judges


def test_readers_and_trainers_leave_unknown_names_out() -> None:
    assert readers(["saliency", "typo", "evaluate"], "saliency", "seed") == ["saliency"]
    assert trainers(["finetune_clip", "typo", "train_sam"], "sam") == ["train_sam"]


@pytest.mark.usefixtures("grown")
def test_a_registered_stage_is_scored_drawn_tuned_and_configured() -> None:
    assert "grown" in possible_parents("evaluate")
    for measure, scorer in (("dsc", "evaluate"), ("text_match", "text_match")):
        assert trial_stages(measure)["grown"] == ["saliency", "coarse_mask", "grown", scorer]
    assert (stage_title("grown"), stage_colour("grown")) == ("Grown mask", "#117733")
    assert scored_labels({"grown/dsc": {}, "coarse/dsc": {}}) == ["coarse", "grown"]
    cfg = config_type()(stages=["grown"])
    assert cfg.growth is None
    assert cfg.batch_size.grown == 3


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("saliency", GROWN, "stage 'saliency' exists already"),
        ("other", replace(GROWN, module=None), "stage 'other' names no module"),
        ("other", replace(GROWN, label="sam"), "the label 'sam' is taken"),
    ],
)
def test_a_row_that_cannot_work_is_refused(name: str, row: Stage, said: str) -> None:
    before = dict(STAGES)
    with pytest.raises(UserError, match=said):
        register_stage(name, row)
    assert before == STAGES
