"""README and docs work as pasted: every block is run, or, where it says what is missing here, checked."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.docs.blocks import Block, blocks_of
from tests.docs.checked import check_command
from tests.docs.scratch import scratch_checkout, scratch_environment

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "reference" not in path.parts  # written from conf/, and without commands of its own
)
EXECUTED = ("bash", "python")
PARSED = {"yaml": yaml.safe_load, "json": json.loads}
PLAIN = ("", "text")
_LOOKS_LIKE_A_COMMAND = re.compile(r"^(\$ )?(python |make |medsam-exp |git clone |pip |uv )", re.M)
_LONGEST_S = 900


def blocks(document: str) -> list[Block]:
    return blocks_of((ROOT / document).read_text())


def all_blocks(*languages: str) -> list[object]:
    return [
        pytest.param(document, block, id=f"{document}:{block.line}")
        for document in DOCUMENTS
        for block in blocks(document)
        if block.language in languages
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_of_a_known_kind(document: str) -> None:
    for block in blocks(document):
        known = block.language in (*EXECUTED, *PARSED, *PLAIN) or block.language.startswith("{")
        assert known, f"line {block.line}: {block.language} is neither run, parsed nor plain text"
        if block.language in PLAIN:
            assert not _LOOKS_LIKE_A_COMMAND.search(block.text), (
                f"line {block.line} must be ```bash to be run"
            )


@pytest.mark.parametrize(("document", "block"), all_blocks(*PARSED))
def test_files_that_are_shown_can_be_read(document: str, block: Block) -> None:
    PARSED[block.language](block.text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_marker_speaks_of_nothing(document: str) -> None:
    for block in blocks(document):
        for marker in block.markers:
            assert any(line.strip().startswith(marker.start) for line in block.commands()), block.line


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scratch_checkout(tmp_path_factory.mktemp("documents") / "checkout")


@pytest.mark.slow
@pytest.mark.parametrize(("document", "block"), all_blocks("bash"))
def test_what_cannot_be_run_here_names_what_exists(document: str, block: Block, checkout: Path) -> None:
    for command in block.commands():
        if block.cannot_run(command):
            check_command(command, checkout)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_run_from_top_to_bottom(document: str, tmp_path: Path) -> None:
    if not any(_script(block) for block in blocks(document)):
        return
    folder = scratch_checkout(tmp_path / "checkout")
    for block in blocks(document):
        if script := _script(block):
            run_script(script, block, document, folder)
    shutil.rmtree(folder)


def _script(block: Block) -> str:
    """What of a block is to be run."""
    if block.language == "python":
        return "" if block.markers else block.text
    if block.language != "bash":
        return ""
    if not block.markers:
        return block.text
    return "\n".join(line for line in block.commands() if not block.cannot_run(line))


def run_script(script: str, block: Block, document: str, folder: Path) -> None:
    program = ["bash", "-euo", "pipefail"] if block.language == "bash" else ["python", "-"]
    running = subprocess.Popen(
        program,
        cwd=folder,
        env=scratch_environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = running.communicate(script, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        said = f"{running.communicate()[0]}\nit did not end within {_LONGEST_S} s"
    assert running.returncode == 0, f"{document}, block at line {block.line}:\n{script}\n{said[-6000:]}"
