"""The command `medsam-exp`: it starts at once, names what it can do, and says one sentence when it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medsam_exp.cli.main import main
from tests.command import commands, refusal
from tests.conftest import ROOT


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'hydra', 'rich', 'pandas', 'pydantic', 'httpx'}"
    code = (
        "import sys; from medsam_exp.cli.main import main; main(['--help']); "
        f"print(sorted({{name.split('.')[0] for name in sys.modules}} & {heavy}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    listed, _, imported = done.partition("Commands:")[2].rstrip().rpartition("\n")
    assert imported == "[]"
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ")} >= set(commands())
    assert "..." not in listed, "what a command does fits into its line"


@pytest.mark.parametrize("words", [[], ["help"], ["-h"]])
def test_without_a_command_it_lists_them(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "export-clip" in capsys.readouterr().out


def test_every_command_has_its_own_help_and_imports_nothing_that_computes_for_it() -> None:
    words = [[name] for name in commands() if name != "run"]  # that is Hydra's: test_run_command.py
    words += [[name, part] for name, group in commands().items() for part in getattr(group, "commands", ())]
    code = f"""
import contextlib, io, sys
from medsam_exp.cli.main import main
for words in {words}:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main([*words, "--help"]) == 0
    assert "Usage: medsam-exp " + words[0] in said.getvalue()
    heavy = {{"torch", "pytorch_lightning", "hydra", "gradio", "pandas", "wandb"}} & sys.modules.keys()
    assert not heavy, (words, heavy)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(("typed", "said"), [("segmnt", "did you mean segment?"), ("qqq", "there are run, ")])
def test_an_unknown_command_is_answered_with_the_nearest(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([typed]) == 2
    answer = capsys.readouterr()
    assert answer.err.startswith(f"error: medsam-exp has no command {typed!r}; {said}")
    assert answer.err.count("\n") == 1
    assert answer.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["collect"], "Missing argument"),
        (["evaluate", "-t", "masks"], "Missing option"),
        (["runs", "--status", "fine"], "'fine' is not one of 'done', 'running'"),
        (["du", "--firts", "3"], "No such option: --firts"),
        (["clean", "--hours", "x"], "Invalid value for '--hours'"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    answer = capsys.readouterr().err
    assert answer.startswith("error: ")
    assert answer.count("\n") == 1
    assert said in answer


def test_the_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(
        "medsam_exp.report.logger.sync.sync", lambda outputs, *, dry_run: seen.append(outputs) or 3
    )
    monkeypatch.setenv("MEDSAM_OUTPUTS", "elsewhere")
    assert main(["sync"]) == main(["sync", str(tmp_path)]) == 3
    assert seen == [Path("elsewhere"), tmp_path]


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, ["runs", str(tmp_path / "nowhere")])
    assert said == f"error: {tmp_path / 'nowhere'} is no folder; give the one with runs and sweeps\n"


def test_a_reader_that_has_seen_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        f"{sys.executable} -m medsam_exp weights list --json | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "word", "offered"),
    [("medsam-exp wei", 1, "weights"), ("medsam-exp segment --sal", 2, "--saliency")],
)
def test_bash_completes_commands_and_options(words: str, word: int, offered: str) -> None:
    asked = {"_MEDSAM_EXP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(word)}
    done = subprocess.run(
        [sys.executable, "-m", "medsam_exp"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout.split() == [offered]


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("medsam-exp ")
