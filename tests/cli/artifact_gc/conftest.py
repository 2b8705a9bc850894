"""A made-up folder of outputs: runs, a sweep, stored results with parents, all of them old."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.cli.main import main

OLD = time.time() - 100 * 3600


def key(number: int) -> str:
    return f"{number:x}".rjust(16, "a")


class Outputs:
    """Builds the tree."""

    def __init__(self, top: Path) -> None:
        self.top, self.folder = top, top / "outputs"
        self.artifacts = self.folder / "artifacts"

    def result(
        self, stage: str, number: int, *, parents: dict[str, int] | None = None, **manifest: Any
    ) -> Path:
        """A stored result of 1000 bytes beside its manifest, finished unless `finished=False`."""
        folder = self.artifacts / stage / key(number)
        folder.mkdir(parents=True)
        (folder / "image.0123456789ab.npy").write_bytes(b"x" * 1000)
        folder.with_suffix(".lock").touch()
        if manifest.pop("finished", True):
            named = {name: key(parent) for name, parent in (parents or {}).items()}
            content = {"stage": stage, "key": key(number), "parents": named, **manifest}
            (folder / "manifest.json").write_text(json.dumps(content))
        self.age(folder, OLD)
        return folder

    def run(self, name: str, *, keys: dict[str, int] | None = None, **summary: Any) -> Path:
        """A run's folder; with a summary where it has keys."""
        folder = self.folder / "runs" / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "config.yaml").write_text("seed: 0\n")
        if keys is not None:
            named = {stage: key(number) for stage, number in keys.items()}
            (folder / "summary.json").write_text(json.dumps({"keys": named, **summary}))
        return folder

    @staticmethod
    def age(folder: Path, when: float) -> None:
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (when, when))


def remaining(outputs: Outputs) -> set[str]:
    return {
        f"{path.parent.name}/{int(path.name.lstrip('a'), 16)}"
        for path in outputs.artifacts.glob("*/a*")
        if path.is_dir()
    }


def clean(*options: str) -> int:
    return main(["clean", "outputs", "--yes", *options])


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outputs:
    """An empty checkout with an empty folder of outputs, where the command is started."""
    monkeypatch.chdir(tmp_path)
    made = Outputs(tmp_path)
    made.artifacts.mkdir(parents=True)
    return made


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], list[str]]:
    """Let somebody answer the question; None when nobody is there. Gives the questions that were asked."""

    def prepare(said: str | None) -> list[str]:
        asked: list[str] = []

        def ask(question: str) -> str:
            asked.append(question)
            if said is None:
                raise EOFError
            return said

        monkeypatch.setattr("builtins.input", ask)
        return asked

    return prepare
