"""Numbers that a search chose: where they are written, what later runs say, that no mask both chooses and scores."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig

from medsam_exp.config.schema import check
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import shares_images, split_name, trial_config, tuning_config
from medsam_exp.config.tuned import (
    refuse_to_overwrite,
    tuned_for_these_data,
    tuned_uses,
    tuned_without_masks,
    write_tuned,
)
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import UserError
from tests.compose import CONF, composed

CHOICES = {
    "data": "phantom",
    "clip": "tiny",
    "saliency": "m2ib",
    "postprocess": "otsu",
    "component_filter": "largest",
    "prompt": "box",
}
TUNE = ("stages=[tune]", "search=phantom")
TUNED = sorted(path.relative_to(CONF) for path in (CONF / "tuned").rglob("*.yaml"))


def record(**values: Any) -> dict[str, Any]:
    score = {"mean": 0.51234567, "std": 0.1, "ci95": [0.4, 0.6], "n": 60}
    best = {"values": values, "score": score, "error": None}
    facts = {"data": "phantom", "split": "seed 77", "images": 60, "metric": "coarse/dsc"}
    return {**facts, "best": best, "trials": [best]}


def folder(name: str, split: str = "val") -> tuple[str, ...]:
    return (
        "data=busi",
        f"paths.data={CONF.parent}",
        "data.root=.",
        f"data.name={name}",
        f"data.split={split}",
    )


def test_a_file_holds_the_numbers_and_who_chose_them(tmp_path: Path) -> None:
    cfg = composed(f"paths.tuned={tmp_path}")
    found = record(**{"saliency.beta": 0.5, "saliency.layer": 2, "postprocess.bins": 64})
    paths = write_tuned(cfg, CHOICES, found, study="abc", date="2030-01-02")
    assert paths == [
        tmp_path / "phantom_tiny_m2ib.yaml",
        tmp_path / "postprocess" / "phantom_tiny_m2ib_otsu.yaml",
    ]
    text = paths[0].read_text()
    assert text.startswith(
        "# @package _global_\n# Best coarse/dsc of 1 trials with the masks of phantom (seed 77)"
    )
    assert yaml.safe_load(text) == {
        "saliency": {"beta": 0.5, "layer": 2},
        "tuned_on": {
            "saliency": {
                "data": "phantom",
                "split": "seed 77",
                "images": 60,
                "metric": "coarse/dsc",
                "score": 0.5123,
                "date": "2030-01-02",
                "study": "abc",
                "values": {"beta": 0.5, "layer": 2},
            }
        },
    }
    assert "&" not in text


def test_a_later_run_takes_the_numbers_and_says_so(tmp_path: Path) -> None:
    cfg = composed(f"paths.tuned={tmp_path}/tuned", "postprocess=otsu")
    write_tuned(
        cfg, CHOICES, record(**{"saliency.beta": 0.5, "postprocess.bins": 64}), study="abc", date="today"
    )
    search = f"hydra.searchpath=[file://{tmp_path}]"
    later = check(composed(search, "saliency=intensity", "clip=tiny_scratch"))
    assert tuned_uses(later) == []
    # Two files of one name: the repository's own wins over the search path, so another network is taken here.
    (tmp_path / "tuned" / "phantom_tiny_scratch_m2ib.yaml").write_text(
        (tmp_path / "tuned" / "phantom_tiny_m2ib.yaml").read_text()
    )
    (tmp_path / "tuned" / "postprocess" / "phantom_tiny_scratch_m2ib_otsu.yaml").write_text(
        (tmp_path / "tuned" / "postprocess" / "phantom_tiny_m2ib_otsu.yaml").read_text()
    )
    later = check(composed(search, "clip=tiny_scratch", "postprocess=otsu"))
    assert (later.saliency.beta, later.postprocess.bins) == (0.5, 64)
    assert tuned_uses(later) == [
        "tuned: saliency.beta=0.5, chosen with the masks of 60 images of phantom (seed 77)",
        "tuned: postprocess.bins=64, chosen with the masks of 60 images of phantom (seed 77)",
    ]
    other = check(composed(search, "clip=tiny_scratch", "postprocess=kmeans"))
    assert len(tuned_uses(other)) == 1, "another method's numbers are not taken"


def test_a_number_typed_by_hand_was_not_chosen_with_masks() -> None:
    assert tuned_uses(composed("saliency.beta=2", "saliency.layer=1")) == []
    [partly] = tuned_uses(composed("saliency.beta=2"))
    assert partly.startswith(
        "tuned: saliency.layer=3, chosen with the masks of 60 images of phantom (seed 77)"
    )


@pytest.mark.parametrize("path", TUNED, ids=str)
def test_every_tuned_file_says_which_masks_chose_all_of_its_numbers(path: Path) -> None:
    text = (CONF / path).read_text()
    content = yaml.safe_load(text)
    if "tuned_on" not in content:  # numbers of others, who do not say what chose them
        assert "# released" in text
        return
    provenance = content.pop("tuned_on")
    if path.parent.name == "network":
        assert provenance.pop("network")["values"] == content
        assert not provenance
        return
    assert {group: given["values"] for group, given in provenance.items()} == content


@pytest.mark.parametrize("data", ["phantom", "phantom_train", "image", "folder", "busi"])
def test_a_networks_own_numbers_are_taken_whatever_images_it_sees(data: str) -> None:
    cfg = composed(f"data={data}")
    assert (cfg.saliency.beta, cfg.saliency.layer) == (0.3, 3)
    assert len(tuned_uses(cfg)) == 1
    assert not list(tuned_for_these_data(cfg)), "they are no numbers of another folder"


def test_numbers_for_a_dataset_win_over_the_networks_own(tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    own = tmp_path / "tuned" / "folder_tiny_m2ib.yaml"
    own.write_text("# @package _global_\nsaliency: {beta: 0.7}\n")
    cfg = composed(f"hydra.searchpath=[file://{tmp_path}]", "data=folder")
    assert (cfg.saliency.beta, cfg.saliency.layer) == (0.7, 3)
    assert tuned_uses(cfg) == [
        "tuned: saliency.layer=3, chosen with the masks of 60 images of phantom (seed 77)"
    ]


def test_a_file_written_by_hand_is_not_replaced_unless_told(tmp_path: Path) -> None:
    cfg = composed(*TUNE, f"paths.tuned={tmp_path}")
    refuse_to_overwrite(cfg, CHOICES)
    path = tmp_path / "phantom_tiny_m2ib.yaml"
    path.write_text("# @package _global_\nsaliency:\n  beta: 7\n")
    with pytest.raises(UserError, match=r"was not written by stage 'tune'.*search\.overwrite=true"):
        refuse_to_overwrite(cfg, CHOICES)
    refuse_to_overwrite(composed(*TUNE, f"paths.tuned={tmp_path}", "search.overwrite=true"), CHOICES)
    refuse_to_overwrite(composed(f"paths.tuned={tmp_path}"), CHOICES)
    write_tuned(cfg, CHOICES, record(**{"saliency.beta": 0.5}), study="abc", date="today")
    refuse_to_overwrite(cfg, CHOICES)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ((*folder("busi", "val"), "search.data.split=test"), "search.data is the test split of busi"),
        ((*folder("busi", "val"), "search.data.split=Test"), "search.data is the Test split of busi"),
        ((*folder("busi", "val"), "search.data.split=val"), "search.data is busi (val), the very images"),
        (("search=phantom", "search.data.seed=2"), "search.data is phantom (seed 2), the very images"),
        (
            ("search=phantom", "data=phantom_heldout", "+search.data.name=other", "search.data.seed=2"),
            "the very images",
        ),
    ],
    ids=["test", "Test", "the same split", "the same scans", "the same scans by another name"],
)
def test_masks_that_score_must_not_choose(overrides: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check(composed("stages=[tune]", *overrides))
    assert sentence.casefold() in str(caught.value).casefold()
    assert "\n" not in str(caught.value)


WITHOUT_MASKS = ("stages=[tune]", "search=no_masks")


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("search=phantom", "search.data.seed=2", "search.metric=sam/stability"),
        folder("busi", "test"),
        (*folder("busi", "test"), "search.metric=coarse/text_match"),
        (*folder("busi", "val"), "search.metric=sam/agreement", "+search.data.split=test"),
    ],
    ids=["their own scans", "typed metric", "test split", "coarse masks", "test split by name"],
)
def test_without_masks_any_images_may_choose(overrides: tuple[str, ...]) -> None:
    cfg = check(composed(*WITHOUT_MASKS, *overrides))
    row = stage_row(tuning_config(cfg), "tune")
    assert (row.ground_truth, row.learns_from) == (None, None)
    with_masks = stage_row(composed(*TUNE), "tune")
    assert (with_masks.ground_truth, with_masks.learns_from) == (STAGES["tune"].ground_truth, "data")


def test_a_trial_without_masks_ends_with_its_score() -> None:
    tuning = tuning_config(check(composed(*WITHOUT_MASKS)))
    assert list(trial_config(tuning, {}).stages) == ["saliency", "coarse_mask", "sam_mask", "text_match"]
    assert (tuning.data.seed, tuning.data.count) == (2, 24), "the run's own images"


def test_numbers_chosen_without_masks_say_so_and_may_be_scored_on_the_same_images(tmp_path: Path) -> None:
    cfg = composed(f"paths.tuned={tmp_path}/tuned")
    found = record(**{"saliency.beta": 0.5}) | {"metric": "sam/text_match", "split": "seed 2"}
    choices = CHOICES | {"clip": "tiny_scratch"}
    [path] = write_tuned(cfg, choices, found, study="abc", date="2030-01-02")
    assert "# Best sam/text_match of 1 trials without masks on phantom (seed 2), found" in path.read_text()
    assert yaml.safe_load(path.read_text())["tuned_on"]["saliency"]["masks"] is False
    refuse_to_overwrite(composed(*TUNE, f"paths.tuned={tmp_path}/tuned", "clip=tiny_scratch"), choices)
    search = f"hydra.searchpath=[file://{tmp_path}]"
    said = "tuned: saliency.beta=0.5, chosen without masks by the best sam/text_match on 60 images of phantom"
    later = check(composed(search, "clip=tiny_scratch"))
    assert tuned_without_masks(later) == [f"{said} (seed 2), the images of this run"]
    assert tuned_uses(later) == []
    others = check(composed(search, "clip=tiny_scratch", "data.seed=9"))
    assert tuned_without_masks(others) == [f"{said} (seed 2)"]
    assert tuned_without_masks(composed(search, "clip=tiny_scratch", "saliency.beta=1")) == []
    assert tuned_without_masks(composed()) == [], "the network's own numbers were chosen with masks"


def test_numbers_are_not_scored_on_the_masks_that_chose_them() -> None:
    with pytest.raises(UserError, match=r"saliency\.beta=0\.3, saliency\.layer=3.*~tuned/network"):
        check(composed("data.seed=77"))
    check(composed("data.seed=77", "~tuned/network"))
    check(composed("data.seed=77", "stages=[saliency,coarse_mask]"))
    check(composed("data.seed=77", "saliency.beta=1", "saliency.layer=2"))


def test_numbers_of_an_earlier_search_do_not_stay_in_a_new_one_unseen() -> None:
    with pytest.raises(UserError, match=r"saliency\.layer came from an earlier search"):
        check(composed(*TUNE, "~search.space.saliency.layer"))
    check(composed(*TUNE, "~search.space.saliency.layer", "~tuned/network"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["search.space.saliency.layer=[3,99]"], "of tune: saliency.layer=99, but tiny has 6 layers"),
        (["+search.space.saliency.betta=[1.0]"], "of tune: saliency.betta is not an option of M2IB"),
        (["search.space.saliency.beta=[1.0,strong]"], "of tune: saliency.beta is 'strong'"),
        (
            ["+search.space.metrics={nsd_tolerance:[1.0,9.0]}"],
            "search.space names metrics.nsd_tolerance, but only",
        ),
        (["~search.space.saliency"], "search.space is empty"),
        (
            ["search.metric=coarse/dice"],
            "search.metric is coarse/dice; give text/ or coarse/ or sam/ and one of dsc",
        ),
        (["search.metric=dsc"], "search.metric is dsc"),
        (
            ["search.metric=coarse/text_matches"],
            "text_match, agreement, expected_iou, stability, as in coarse/dsc",
        ),
        (
            ["search.metric=coarse/agreement"],
            "search.metric is coarse/agreement; give sam/ before agreement, as in sam/agreement",
        ),
        (
            ["search.metric=weak/text_match"],
            "give text/ or coarse/ or sam/ before text_match, as in sam/text_match",
        ),
        (
            ["search.metric=sam/text_match", "search.direction=minimize"],
            "search.direction is minimize, but of Text match one wants to maximize",
        ),
        (["search.direction=minimize"], "search.direction is minimize, but of DSC one wants to maximize"),
        (["search.sampler=random"], "search.sampler is random; choose grid or tpe"),
        (["search.sampler=tpe"], "search.trials is None, but search.sampler=tpe needs"),
        (["search.timeout=0"], "search.timeout is 0"),
        (
            ["stages=[saliency,coarse_mask,evaluate,tune]"],
            "stage 'tune' finds numbers for later runs and stands alone",
        ),
        (["+search.data.splitt=val"], "of tune: data.splitt is not an option of PhantomDataset"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_mistake_in_the_search_is_one_sentence_before_anything_is_computed(
    overrides: list[str], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        check(composed(*TUNE, *overrides))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_base_values_of_what_is_searched_do_not_decide_the_study() -> None:
    def of(*overrides: str) -> DictConfig:
        return tuning_config(check(composed(*TUNE, *overrides)))

    assert (
        of()
        == of("saliency.beta=2", "saliency.layer=1")
        == of("search.overwrite=true")
        == of("~tuned/network")
    )
    assert of() != of("saliency.steps=3")


def test_a_trial_is_a_run_on_the_images_to_tune_on() -> None:
    tuning = tuning_config(check(composed(*TUNE, "data=phantom_heldout")))
    trial = trial_config(tuning, {"saliency.beta": 5.0})
    assert (trial.data.seed, trial.data.count, trial.saliency.beta, trial.saliency.layer) == (77, 60, 5.0, 2)
    assert list(trial.stages) == ["saliency", "coarse_mask", "evaluate"]
    with_sam = check(composed(*TUNE, "search.metric=sam/hd95_px", "search.direction=minimize"))
    assert "sam_mask" in trial_config(tuning_config(with_sam), {}).stages


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"name": "busi", "split": "val"}, "val"),
        ({"name": "p", "seed": 3, "split": "test"}, "seed 3"),
        ({"name": "x"}, "all"),
    ],
)
def test_a_split_has_a_name(data: dict[str, Any], name: str) -> None:
    assert split_name(DictConfig(data)) == name
    assert shares_images(str(data["name"]), name, DictConfig(data))
    assert not shares_images(str(data["name"]), "train", DictConfig(data))
    assert shares_images("another", name, DictConfig(data)) == name.startswith("seed")
