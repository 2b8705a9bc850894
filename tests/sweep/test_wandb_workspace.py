"""The saved dashboard of a sweep, as far as it can be seen without a server: what it would send."""

import json
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.report.logger.csv import final_figures
from medsam_exp.report.logger.job import TrackedRun
from medsam_exp.sweep import wandb_workspace
from tests.command import refusal

pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed (make setup)")
AXES = ["saliency", "saliency/beta"]


@pytest.fixture(scope="module")
def sent() -> dict[str, Any]:
    """What the server would get."""
    made = wandb_workspace.workspace("team", "medsam_exp", "efc998174c", AXES)
    return json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True))


def panels(sent: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Panels by section."""
    sections = sent["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in sections}


def test_it_shows_the_runs_of_the_sweep_and_no_others(sent: dict[str, Any]) -> None:
    [runs] = sent["spec"]["section"]["runSets"]
    [only] = runs["filters"]["filters"]
    assert (only["key"], only["op"], only["value"]) == (
        {"section": "run", "name": "group"},
        "=",
        "efc998174c",
    )
    assert not only["disabled"]
    assert (sent["entity"], sent["project"], sent["displayName"]) == (
        "team",
        "medsam_exp",
        "sweep efc998174c",
    )


def test_its_scores_and_axes_are_named_as_runs_name_them(sent: dict[str, Any]) -> None:
    score = {"mean": 0.5, "std": 0.1, "ci95": [0.4, 0.6], "n": 3}
    measured = ("sam/dsc", "sam/iou", "sam/nsd", "coarse/dsc", "saliency/peak_within_8px")
    logged = final_figures({"metrics": dict.fromkeys(measured, score)})
    shown = [panel["config"]["metrics"] for panel in panels(sent)["Scores"]]
    assert shown == [[name] for name in wandb_workspace.SCORES]
    assert set(wandb_workspace.SCORES) <= set(logged)
    run = TrackedRun(Path(), "x", config={"saliency": {"beta": 1.0}}, choices={"saliency": "m2ib"})
    assert set(AXES) == set(run.flat_config)
    columns = panels(sent)["What they depend on"][0]["config"]["columns"]
    assert [column["accessor"] for column in columns] == [
        *(f"config:{axis}.value" for axis in AXES),
        "summary:sam/dsc/mean",
    ]
    [runs] = sent["spec"]["section"]["runSets"]
    assert {f"config:{axis}" for axis in AXES} <= set(runs["runFeed"]["columnVisible"])


def test_it_opens_with_dsc_by_each_axis(sent: dict[str, Any]) -> None:
    """Runs with one value of an axis share a bar: their mean, and how far they spread."""
    sections = sent["spec"]["section"]["panelBankConfig"]["sections"]
    assert sections[0]["name"] == "DSC by axis"
    assert all(section["isOpen"] for section in sections)
    shown = [panel["config"] for panel in sections[0]["panels"]]
    assert [config["groupBy"] for config in shown] == [f"{axis}.value" for axis in AXES]
    for config in shown:
        assert config["metrics"] == ["sam/dsc/mean"]
        assert (config["groupAgg"], config["groupArea"], config["aggregate"]) == ("mean", "stddev", True)
    unknown = wandb_workspace.workspace("team", "medsam_exp", "efc998174c", [])
    assert unknown.sections[0].name == "Scores"


def test_it_shows_the_table_of_images_the_reports_and_the_curves(sent: dict[str, Any]) -> None:
    table, reports = panels(sent)["Images, worst first"]
    assert '"val": "per_image"' in json.dumps(table)
    assert reports["config"]["mediaKeys"] == ["report"]
    [curves] = panels(sent)["Curves"]
    assert curves["config"]["xAxis"] == "trainer/global_step"
    assert curves["config"]["metrics"] == ["train/loss", "val/loss"]


def test_a_sweep_is_named_by_its_folder_or_its_id(tmp_path: Path) -> None:
    assert wandb_workspace.group_and_axes("efc998174c") == ("efc998174c", [])
    content = {
        "id": "abc",
        "name": "mine",
        "axes": {"+saliency.beta": ["1"], "saliency": ["m2ib"], "seed": ["0"]},
    }
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    assert wandb_workspace.group_and_axes(str(tmp_path)) == (
        "mine-abc",
        ["saliency/beta", "saliency", "seed"],
    )
    made = wandb_workspace.workspace("team", "medsam_exp", *wandb_workspace.group_and_axes("efc998174c"))
    assert made.name == "sweep efc998174c"


def test_without_a_key_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "needs a key: set WANDB_API_KEY" in refusal(capsys, ["dashboard", "efc998174c"])
