"""Commands of `medsam-exp`, called as the command line calls them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import typer.main

from medsam_exp.cli.main import app, main


def commands() -> dict[str, Any]:
    """All commands by name, with their options and commands of their own."""
    return dict(typer.main.get_group(app).commands)


def command(*words: str) -> Callable[[Sequence[str]], int]:
    """A command that takes its arguments and returns its exit code."""
    return lambda arguments: main([*words, *arguments])


def refusal(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    """What is said of a command line that cannot work: one sentence, and exit code 1."""
    capsys.readouterr()
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said
