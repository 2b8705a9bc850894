"""The command `medsam-exp`: it starts at once, names what it can do, and says one sentence when it cannot."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medsam_exp.cli import main
from medsam_exp.types import UserError
from tests.conftest import ROOT


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from medsam_exp.cli.main import main; main(['--help']); "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'numpy', 'hydra', 'rich', 'pandas'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    *listed, imported = done.splitlines()
    assert imported == "[]"
    words = [line.split()[0] for line in listed if line.startswith("  ")]
    assert words == list(main.COMMANDS)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_a_function_that_takes_arguments(name: str) -> None:
    command = importlib.import_module(main.COMMANDS[name].module).main
    first = next(iter(inspect.signature(command).parameters.values()))
    assert "str" in str(first.annotation)  # a sequence of strings
    assert main.COMMANDS[name].about == main.COMMANDS[name].about.rstrip(".")


@pytest.mark.parametrize(("typed", "said"), [("segmnt", "did you mean segment?"), ("qqq", "there are run, ")])
def test_an_unknown_command_is_answered_with_the_nearest(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([typed]) == 2
    answer = capsys.readouterr()
    assert answer.err.startswith(f"error: medsam-exp has no command {typed!r}; {said}")
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def _pretend(monkeypatch: pytest.MonkeyPatch, function: object) -> None:
    monkeypatch.setattr(main, "import_module", lambda _: SimpleNamespace(main=function))


def test_arguments_reach_the_command_behind_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    _pretend(monkeypatch, seen.append)
    assert main.main(["du", "--json"]) == 0
    assert main.main(["compare", "a", "b"]) == 0
    assert seen == [["du", "--json"], ["a", "b"]]


def test_the_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, lambda _: 3)
    assert main.main(["doctor"]) == 3


def test_bad_input_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: list[str]) -> None:
        raise UserError("scan.png is no image; give a PNG")

    _pretend(monkeypatch, refuse)
    assert main.main(["segment"]) == 1
    assert capsys.readouterr().err == "error: scan.png is no image; give a PNG\n"


def test_bad_input_of_a_real_command_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(["runs", str(tmp_path / "nowhere")])
    assert str(end.value) == f"error: {tmp_path / 'nowhere'} is no folder; give the one with runs and sweeps"
