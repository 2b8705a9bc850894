"""What the Dockerfile and the conda environment name is there, and is what `make setup` needs."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def _copied() -> list[str]:
    lines = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return [name for line in lines for name in line.split()]


def test_what_the_image_copies_is_in_its_context_and_in_the_checkout() -> None:
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(_copied()) == sorted(let_in)
    assert [name for name in let_in if not (ROOT / name).exists()] == []


def test_the_image_holds_what_the_environment_is_made_of() -> None:
    """The prerequisites of its target in the Makefile, and what the package's build reads."""
    ready = re.search(r"^\$\(READY\): ([^|\n]+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert ready is not None
    needed = {
        *ready[1].split(),
        "Makefile",
        "setup.py",
        "README.md",
        "LICENSE",
        "NOTICE",
        "medsam_exp",
        "conf",
    }
    assert needed <= set(_copied())


def test_conda_installs_the_lock() -> None:
    content = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert {"pip": ["-r requirements.lock"]} in content["dependencies"]
    assert (ROOT / "requirements.lock").exists()
