"""No run is overlooked, as its results would be offered for deletion."""

import json
import os
import re
from pathlib import Path

import pytest

from medsam_exp.cli.artifact_gc import commands
from medsam_exp.cli.main import main
from tests.cli.artifact_gc.conftest import OLD, Outputs, clean, key, remaining
from tests.command import refusal


def test_no_file_above_a_run_hides_it(outputs: Outputs) -> None:
    """Not what Hydra leaves in the folder of a sweep's name, nor a log or a sweep's table in the wrong place."""
    for number in range(1, 6):
        outputs.result("saliency", number)
    sweep = outputs.folder / "sweeps" / "s" / "0123456789"
    for number, job in enumerate(
        [sweep / "seed=1", sweep / "group" / "seed=2", sweep.parent / "2026" / "0"], 1
    ):
        job.mkdir(parents=True)
        (job / "summary.json").write_text(json.dumps({"keys": {"saliency": key(number)}}))
    (sweep / "sweep.json").write_text(json.dumps({"jobs": [{}]}))
    (sweep.parent / "multirun.yaml").touch()
    outputs.run("a", keys={"saliency": 4})
    (outputs.folder / "runs" / "run.log").touch()
    clean()
    assert remaining(outputs) == {"saliency/1", "saliency/2", "saliency/3", "saliency/4"}


def test_runs_behind_links_count_and_circles_end(outputs: Outputs) -> None:
    for number in (1, 2, 3):
        outputs.result("saliency", number)
    outputs.run("a", keys={"saliency": 1})
    outputs.run("b", keys={"saliency": 2})
    disk = outputs.top / "disk"
    (outputs.folder / "runs").rename(disk)
    (outputs.folder / "runs").symlink_to(disk)
    (disk / "circle").symlink_to(outputs.folder)
    (disk / "latest").symlink_to(disk / "a")
    (outputs.folder / "stored").symlink_to(outputs.artifacts)
    (outputs.artifacts / "saliency" / key(3) / "summary.json").write_text("{")
    Outputs.age(outputs.artifacts, OLD)
    (disk / "b" / "debug.log").symlink_to(disk / "cleared")
    clean()
    assert remaining(outputs) == {"saliency/1", "saliency/2"}


def test_stored_results_behind_a_link_are_no_runs(outputs: Outputs) -> None:
    outputs.result("saliency", 1)
    outputs.run("a", keys={})
    (outputs.artifacts / "saliency" / key(1) / "summary.json").write_text("{")
    outputs.artifacts.rename(outputs.top / "disk")
    outputs.artifacts.symlink_to(outputs.top / "disk")
    Outputs.age(outputs.top / "disk", OLD)
    clean()
    assert remaining(outputs) == set()


@pytest.mark.parametrize("kind", ["gone", "forbidden"])
def test_with_a_folder_that_cannot_be_looked_into_everything_stays(
    outputs: Outputs, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.result("saliency", 1)
    outputs.run("a", keys={})
    place = outputs.folder / "more"
    if kind == "gone":  # such as a disk that is not mounted
        place.symlink_to(outputs.top / "disk")
    else:
        place.mkdir()
        _forbid(place, monkeypatch)
    assert clean() == 1
    assert remaining(outputs) == {"saliency/1"}
    assert "outputs/more cannot be read" in capsys.readouterr().out
    main(["runs", "outputs", "--status", "unreadable"])
    assert "it cannot be read" in capsys.readouterr().out


def _forbid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As permissions do for everybody but root."""
    for name in ("scandir", "listdir"):
        allowed = getattr(os, name)

        def look(path: str | Path = ".", allowed=allowed):  # type: ignore[no-untyped-def]
            if Path(path).resolve() == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return allowed(path)

        monkeypatch.setattr(os, name, look)


def test_the_packages_own_configurations_count_wherever_it_is_started(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        outputs.result("finetune_clip", number)
    outputs.run("a", keys={})
    own = outputs.top / "own"
    (own / "conf" / "clip").mkdir(parents=True)
    (own / "conf" / "clip" / "mine.yaml").write_text(
        f"model: outputs/artifacts/finetune_clip/{key(1)}/clip\n"
    )
    (outputs.top / "repeat.sh").write_text(key(2))
    monkeypatch.setattr(commands, "OWN_CHECKOUT", own)
    clean()
    assert remaining(outputs) == {"finetune_clip/1", "finetune_clip/2"}


def test_without_any_configurations_nothing_is_deleted(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.result("saliency", 1)
    outputs.run("a", keys={})
    monkeypatch.setattr(commands, "OWN_CHECKOUT", outputs.top / "site-packages")
    said = refusal(capsys, ["clean", "outputs", "--yes"])
    assert re.search(r"there is no conf/ in .* or .*site-packages", said)
    assert remaining(outputs) == {"saliency/1"}


def test_the_own_checkout_is_this_one() -> None:
    assert (commands.OWN_CHECKOUT / "conf" / "config.yaml").is_file()
