"""SAM's embedding as ProxyCLIP's proxy, against means cell by cell."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.cli.runner import run
from medsam_exp.config.build import nested_weight_files
from medsam_exp.sam.features import SamFeatures
from medsam_exp.sam.load import load_sam, save_sam
from medsam_exp.sam.weight_files import TINY_WEIGHTS
from tests.compose import composed
from tests.stored import stored_infos


@pytest.mark.parametrize("size", [(64, 64), (32, 64)])
def test_a_cell_has_the_mean_of_the_embedding_over_it(size: tuple[int, int]) -> None:
    """An image that is not square fills the upper half of SAM's frame."""
    bytes_ = torch.randint(0, 256, (2, 3, *size), generator=torch.Generator().manual_seed(0))
    found = SamFeatures("tiny")(bytes_ / 255, (4, 8))
    sam = load_sam("tiny")
    assert found.shape == (2, 4, 8, sam.embedding_shape[0])
    rows = 16 * size[0] // size[1]
    for image, features in zip(bytes_, found, strict=True):
        pixels = image.permute(1, 2, 0).numpy().astype(np.uint8)
        with torch.no_grad():
            (embedding,) = sam.encode(sam.preprocess(pixels)[None])
        for row in range(4):
            for column in range(8):
                cell = embedding[:, row * rows // 4 : (row + 1) * rows // 4, 2 * column : 2 * column + 2]
                torch.testing.assert_close(features[row, column], cell.mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_a_run_takes_its_own_sam_and_knows_its_file(tmp_path: Path) -> None:
    save_sam(load_sam("tiny"), tmp_path / "other.safetensors", torch.float32)
    choice = ["saliency=proxyclip_sam", "data=phantom", "data.count=1", "stages=[saliency]"]
    keys = []
    for name, own in {"own": [], "other": [f"sam.checkpoint={tmp_path / 'other.safetensors'}"]}.items():
        (tmp_path / name).mkdir()
        cfg = composed(*choice, *own, f"paths.outputs={tmp_path}")
        file = tmp_path / "other.safetensors" if own else TINY_WEIGHTS
        assert nested_weight_files(cfg.saliency) == [file]
        run(cfg, tmp_path / name, {}, [*choice, *own])
        keys.append(json.loads((tmp_path / name / "summary.json").read_text())["keys"]["saliency"])
    assert keys[0] != keys[1]
    (first,), (second,) = (stored_infos(tmp_path / "artifacts" / "saliency" / key) for key in keys)
    assert first["presence"] == second["presence"] == 1
    assert (first["peak_x"], first["peak_y"]) == (second["peak_x"], second["peak_y"])
