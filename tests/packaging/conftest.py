"""The wheel, built once of a copy of the checkout."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout_copy import copy_checkout

LOCAL_CHOICE = Path("conf") / "local" / "mine.yaml"
"""A choice that git ignores, as it is of one machine alone."""
_BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(source: Path, kind: str, target: Path) -> Path:
    """Build what `kind` names (`build_wheel`, `build_sdist`, `build_editable`) with this environment's setuptools."""
    target.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _BUILD, kind, str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", "77", reason="setuptools 77 or newer is not installed")
    folder = copy_checkout(tmp_path_factory.mktemp("packaging") / "source")
    (folder / LOCAL_CHOICE).parent.mkdir()
    (folder / LOCAL_CHOICE).write_text("name: mine\n")
    return folder


@pytest.fixture(scope="session")
def wheel(source: Path) -> Path:
    return build(source, "build_wheel", source.parent / "wheel")
