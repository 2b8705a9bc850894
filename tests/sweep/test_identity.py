"""A sweep is its grid and a job its values, however they were typed."""

import json
from pathlib import Path

import pytest

from medsam_exp.sweep.identity import folder_of_overrides, job_folder, plan_sweep
from medsam_exp.sweep.status import SWEEP_FILE
from medsam_exp.types import UserError

TYPED = ["+experiment=demo", "saliency=a,b", "seed=0,1,2", "data.count=3"]


def test_the_jobs_are_every_combination_once() -> None:
    jobs = plan_sweep({}, TYPED).jobs
    assert len(jobs) == 6
    assert {(job["saliency"], job["seed"]) for job in jobs} == {(s, n) for s in "ab" for n in "012"}


@pytest.mark.parametrize(
    "same",
    [
        ["data.count=3", "seed=2,0,1", "saliency=b,a", "+experiment=demo"],
        [*TYPED, "paths.outputs=elsewhere", "logger=wandb", "workers=4", "sweep.fail_fast=true"],
        [*TYPED, "hydra/launcher=processes", "+sweep=[x]"],
    ],
)
def test_order_and_what_changes_no_result_do_not_matter(same: list[str]) -> None:
    assert plan_sweep({}, same).id == plan_sweep({}, TYPED).id


@pytest.mark.parametrize(
    "other",
    [
        [*TYPED[:3], "data.count=4"],
        ["+experiment=demo", "saliency=a,b", "seed=0,1", "data.count=3"],
        [*TYPED, "postprocess=otsu"],
        ["+experiment=busi_zeroshot", *TYPED[1:]],
    ],
)
def test_another_grid_is_another_sweep(other: list[str]) -> None:
    assert plan_sweep({}, other).id != plan_sweep({}, TYPED).id


def test_axes_of_files_and_of_the_command_line_are_alike() -> None:
    assert plan_sweep({"saliency": "a,b"}, ["seed=0,1"]) == plan_sweep({}, ["saliency=a,b", "seed=0,1"])
    replaced = plan_sweep({"saliency": "a,b"}, ["saliency=c", "seed=0,1"])
    assert dict(replaced.axes) == {"seed": ("0", "1")}
    assert replaced.fixed == ("saliency=c",)


def test_the_command_runs_one_job_alone() -> None:
    plan = plan_sweep(
        {}, ["+experiment=demo", "+sweep=[x]", "hydra/launcher=processes", "text.text='a b'", "seed=0,1"]
    )
    assert (
        plan.command({"seed": "1"}).partition(" ")[2] == "run.py +experiment=demo text.text=\"'a b'\" seed=1"
    )


@pytest.mark.parametrize(
    "varied",
    [
        {"saliency": "a", "seed": "1"},
        {"prompt.margins": "[1,2]", "seed": "1"},
        {"text.text": "'a mass, dark / irregular'"},
        {"+key": "x" * 300},
        {"a": "{b:1,c:2}"},
        {"weak_label@reference_label": "ground_truth"},
    ],
)
def test_what_hydra_is_given_for_a_job_gives_the_same_folder(varied: dict[str, str], tmp_path: Path) -> None:
    """What was typed for all jobs stands in it too."""
    (tmp_path / SWEEP_FILE).write_text(json.dumps({"axes": {key: ["x"] for key in varied}}))
    typed = {**varied, "weak_label": "all", "fixed.text": "'it\\'s, all'"}
    name = job_folder(varied)
    assert folder_of_overrides([f"{key}={value}" for key, value in typed.items()], str(tmp_path)) == name
    assert "/" not in name
    assert len(name) < 120


def test_folders_of_different_jobs_differ() -> None:
    texts = ["'a b'", "'a_b'", "'a/b'", *("x" * n for n in range(150, 160))]
    assert len({job_folder({"text.text": text}) for text in texts}) == len(texts)


def test_patterns_are_no_grid() -> None:
    with pytest.raises(UserError, match=r"saliency=glob\(m2ib\*\): a sweep needs its values by name"):
        plan_sweep({}, ["saliency=glob(m2ib*)", "seed=0,1"])


def test_other_data_is_another_sweep() -> None:
    assert plan_sweep({}, [*TYPED, "paths.data=/a"]).id != plan_sweep({}, [*TYPED, "paths.data=/b"]).id
