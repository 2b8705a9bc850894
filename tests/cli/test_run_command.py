"""The way into a run: which configuration files are read, and what a run says was typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.errors import MissingConfigException

from medsam_exp.cli import run
from medsam_exp.cli.help_page import MAIN_GROUPS
from medsam_exp.config.start_command import conf_folders, start_command
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.sweep.status import configuration_files_digest
from tests.compose import CONF, composed
from tests.conftest import ROOT


def write_choice(folder: Path, count: int = 2) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "mine.yaml").write_text(f"defaults: [phantom, _self_]\nname: mine\ncount: {count}\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["medsam-exp"])
    return tmp_path


def configuration(capsys: pytest.CaptureFixture[str], *typed: str) -> dict[str, object]:
    """What a run would work with; Hydra prints it."""
    run.main([*typed, "--cfg", "job"])
    found: dict[str, object] = yaml.safe_load(capsys.readouterr().out)
    return found


def test_choices_beside_the_user_are_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_choice(here / "conf")
    assert configuration(capsys, "data=mine")["data"]["count"] == 2  # type: ignore[index]


def test_a_folder_that_is_named_wins_over_the_one_beside(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_choice(here / "conf")
    write_choice(here / "other", count=5)
    for typed in (["--config-dir", "other"], ["--config-dir=other"], ["-cd", "other"]):
        assert configuration(capsys, *typed, "data=mine")["data"]["count"] == 5  # type: ignore[index]


def test_a_folder_that_is_not_there_is_said(here: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"^error: --config-dir nowhere is no folder; give the one that holds data/"
    ):
        run.main(["--config-dir", "nowhere"])


def test_own_numbers_win_over_those_of_the_package(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuned = here / "conf" / "tuned" / "phantom_tiny_m2ib.yaml"
    tuned.parent.mkdir(parents=True)
    tuned.write_text("# @package _global_\nsaliency: {beta: 0.123}\n")
    assert configuration(capsys)["saliency"]["beta"] == 0.123  # type: ignore[index]


def test_the_folder_of_a_whole_project_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_choice(here / "conf")
    (here / "conf" / "config.yaml").write_text("another: project\n")
    assert "another" not in configuration(capsys)
    with pytest.raises((SystemExit, MissingConfigException)):  # the latter under a tracer, such as coverage's
        configuration(capsys, "data=mine")


@pytest.mark.parametrize(
    ("typed", "line", "said"),
    [
        (["--help"], "", "m2ib"),
        (["--cfg", "job"], "", "m2ib"),
        (["-sc", "query=bash"], "saliency=", "saliency=m2ib"),
        (["-sc", "query=bash"], "sal", "saliency="),
        (["-sc", "query=bash"], "", "saliency="),
    ],
    ids=["help", "configuration", "choices", "beginning", "nothing"],
)
def test_what_only_composes_imports_no_network_code(typed: list[str], line: str, said: str) -> None:
    code = """
import sys
from medsam_exp.cli.run import main
try:
    main(sys.argv[1:])
finally:
    print(sorted({"torch", "pytorch_lightning", "pandas", "scipy", "pydantic"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *typed],
        env={**os.environ, "COMP_LINE": f"python run.py {line}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said in done.stdout
    assert done.stdout.endswith("\n[]\n")


def test_help_begins_with_what_most_people_change_and_names_every_group(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_choice(here / "conf")
    for program, words in (("run.py", "python run.py"), ("bin/medsam-exp", "medsam-exp run")):
        monkeypatch.setattr("sys.argv", [program])
        run.main(["--help"])
        page = capsys.readouterr().out
        assert f"Usage: {words} [GROUP=CHOICE" in page
        assert ("python run.py" in page) == (program == "run.py")
        groups = [
            line.split("=")[0].strip(" +") for line in page.splitlines() if re.match(r"  \+?\S+=  ", line)
        ]
        assert groups[:10] == list(MAIN_GROUPS)
        with_choices = {path.parent.relative_to(CONF).as_posix() for path in CONF.glob("*/*.yaml")}
        assert set(groups) - {"hydra/launcher"} == with_choices - {"tuned", "wandb_sweep"}
        assert re.search(r"\bmine\b", page)
        assert max(map(len, page.splitlines())) <= 120


def test_run_py_is_this_entry() -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "seed=7", "--cfg", "job"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert yaml.safe_load(done.stdout)["seed"] == 7
    assert len((ROOT / "run.py").read_text().splitlines()) <= 30


def test_commands_to_repeat_a_run_name_the_folder_of_choices(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_choice(here / "my choices")
    seen = []
    monkeypatch.setattr(
        "medsam_exp.cli.runner.run",
        lambda cfg, *_: seen.append((cfg.data.name, start_command(), conf_folders())),
    )
    run.main(["--config-dir", "my choices", "data=mine", f"paths.outputs={here / 'outputs'}"])
    expected = "python run.py --config-dir 'my choices'"
    assert seen == [("mine", expected, [here / "my choices", conf_folder()])]


def test_an_installed_package_names_its_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medsam_exp.config.start_command.in_checkout", lambda: False)
    assert start_command() == "medsam-exp run"


def test_a_sweep_looks_again_when_a_file_of_ones_own_changes(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = here / "own"
    write_choice(own)
    monkeypatch.setattr("medsam_exp.sweep.status.conf_folders", lambda: [own, conf_folder()])
    before = configuration_files_digest()
    assert configuration_files_digest() == before
    write_choice(own, count=3)
    assert configuration_files_digest() != before


def test_outside_of_a_run_only_the_own_files_count() -> None:
    composed()
    assert conf_folders() == [conf_folder()]
