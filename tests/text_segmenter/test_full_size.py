"""Text-prompted segmenters at full size: SAM 3 from its publisher's names, the others from folders as on the hub."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.text_segmenter.sam3 import load_sam3
from tests.own_process import run_step, show_figures
from tests.sam.layouts import paired_layout
from tests.text_segmenter.full_size import BUILD

MODULE = "tests.text_segmenter.full_size"
MEMORY_GB = 8
"""The most that one may take here."""


@pytest.mark.slow
def test_metas_checkpoint_loads_and_answers(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    state = {
        f"detector.{name}": torch.randn(shape, generator=generator) * 0.02
        for name, (shape, _) in paired_layout("sam3").items()
    }
    state["tracker.maskmem_tpos_enc"] = torch.zeros(7, 1, 1, 64)
    torch.save({"model": state}, tmp_path / "sam3.pt")
    del state
    segmenter = load_sam3(str(tmp_path / "sam3.pt"), 0.01, 0.5)
    assert sum(parameter.numel() for parameter in segmenter.parameters()) > 8.3e8
    image = np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8)
    found = segmenter.segment(segmenter.preprocess(image), ["a dark mass"], (300, 420))
    assert found.mask.shape == (300, 420)
    assert 0 < found.presence < 1


@pytest.mark.slow
@pytest.mark.usefixtures("shared")  # a vocabulary of BERT's size lies there
@pytest.mark.parametrize("choice", BUILD)
def test_a_folder_as_on_the_hub_loads_and_answers(
    choice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process's peak memory is of all that it did, so that writing and loading have one each."""
    assert not run_step(MODULE, "write", choice, tmp_path)
    found = run_step(MODULE, "ours", choice, tmp_path)
    show_figures(choice, found, capsys)
    assert found["parameters"] > 150
    assert 0 <= found["presence"] <= 1
    assert 0 <= found["foreground"] <= 1
    assert found["peak_gb"] < MEMORY_GB
