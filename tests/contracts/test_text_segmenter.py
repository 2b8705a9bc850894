"""What every text-prompted segmenter promises, over all YAMLs of conf/text_segmenter: small, with random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.config.build import build, weight_files
from medsam_exp.text_segmenter.segmenter import TextSegmenter
from tests.compose import choices, composed
from tests.text_segmenter.small import saved

NETWORK = {"medical_sam3": "sam3"}
OF_THE_RUN = {"salip"}  # no network of their own
SIZES = ((90, 60), (1, 1))


@pytest.mark.parametrize("choice", choices("text_segmenter"))
def test_contract(choice: str, tmp_path: Path) -> None:
    if choice in OF_THE_RUN:
        node = composed(f"text_segmenter={choice}", "text_segmenter.min_iou=0").text_segmenter
        assert {path.name for path in weight_files(node)} >= {
            "tiny_sam.safetensors",
            "open_clip_model.safetensors",
        }
    else:
        folder = saved(NETWORK.get(choice, choice), tmp_path)
        node = composed(f"text_segmenter={choice}", f"text_segmenter.model={folder}").text_segmenter
        assert folder / "model.safetensors" in weight_files(node)
    segmenter: TextSegmenter = build(node)
    assert not segmenter.training
    for size in SIZES:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        inputs = segmenter.preprocess(image)
        assert all(torch.isfinite(each).all() for each in inputs)
        found = segmenter.segment(inputs, ["a dark mass"], size)
        assert found.mask.shape == size
        assert found.mask.dtype == torch.bool
        assert 0 <= found.presence <= 1
        for x0, y0, x1, y1 in found.boxes_xyxy:
            assert 0 <= x0 <= x1 <= size[1]
            assert 0 <= y0 <= y1 <= size[0]
