"""Each published CLIP at its full size, from random weights in its published layout, in processes of their own."""

from pathlib import Path

import pytest

from tests.clip.full_size import WRITE
from tests.compose import CONF
from tests.own_process import run_step, show_figures

MODULE = "tests.clip.full_size"
MEMORY_GB = 10
"""The most that one may take here; the largest, MedSigLIP of 3.5 GB of weights, took 8.6."""
OWN = {"folder", "tiny", "tiny_random", "tiny_scratch"}
CHOICES = sorted({path.stem for path in (CONF / "clip").glob("*.yaml")} - OWN)


@pytest.mark.slow
@pytest.mark.usefixtures("shared")  # BiomedCLIP's tokenizer lies there
@pytest.mark.parametrize("choice", CHOICES)
def test_it_embeds_as_its_own_library(
    choice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process's peak memory is of all that it did, so that writing and loading have one each."""
    assert choice in WRITE, "say in tests/clip/full_size.py how its files are laid out"
    assert not run_step(MODULE, "write", choice, tmp_path)
    found = run_step(MODULE, "ours", choice, tmp_path)
    show_figures(choice, found, capsys)
    assert found["parameters"] > 80
    assert 0 < found["spread"] < 1e3
    assert found["difference"] < 1e-4
    assert found["peak_gb"] < MEMORY_GB
