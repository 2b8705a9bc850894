"""Each segmenter at its full size, from random weights in its published layout, in processes of their own."""

from pathlib import Path

import pytest

from medsam_exp.sam.families import FAMILIES
from tests.own_process import run_step, show_figures
from tests.sam.full_size import OWN

MODULE = "tests.sam.full_size"
MEMORY_GB = 8
"""The most that one may take here; the largest, ViT-H of 2.6 GB of weights, took half of it."""


@pytest.mark.slow
@pytest.mark.parametrize("architecture", sorted(set(FAMILIES) - {"tiny"}))
def test_it_answers_as_its_own_library(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process's peak memory is of all that it did, so that each network and each step has its own."""
    assert not run_step(MODULE, "write", architecture, tmp_path)
    ours = run_step(MODULE, "ours", architecture, tmp_path)
    show_figures(architecture, ours, capsys)
    assert 1e-3 < ours["foreground"] < 0.999
    assert ours["spread"] > 0.1
    assert ours["peak_gb"] < MEMORY_GB
    if architecture in OWN:  # in no library of the lock: held against a slow recomputation, small
        return
    apart = run_step(MODULE, "theirs", architecture, tmp_path)
    show_figures(architecture, apart, capsys)
    assert apart["masks_spread"] > 0.1
    assert apart["masks"] < 1e-4 * max(1, apart["masks_spread"])
    assert apart["ious"] < 1e-4
