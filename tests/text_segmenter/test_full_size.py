"""SAM 3 at full size, from random weights under the names of its publisher."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.text_segmenter.sam3 import load_sam3
from tests.sam.layouts import paired_layout


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
