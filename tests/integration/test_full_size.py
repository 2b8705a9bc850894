"""Full-size networks from local files in the formats their publishers use, with random weights, on real images."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
from segment_anything import sam_model_registry

from medsam_exp.clip.load import load_clip
from medsam_exp.runner import run
from tests.compose import composed


@pytest.mark.slow
def test_biomedclip_and_sam_vit_b_segment_two_images(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "biomedclip"
    shutil.copytree(shared / "models" / "biomedclip_config", folder)
    folder.chmod(0o755)
    clip = load_clip(str(folder), "random")
    torch.save(clip.network.state_dict(), folder / "open_clip_pytorch_model.bin")
    checkpoint = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(sam_model_registry["vit_b"]().state_dict(), checkpoint)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was opened"))

    run_dir = tmp_path / "run"
    run_dir.mkdir()
    overrides = [
        "+experiment=busi_zeroshot",
        f"data.root={shared / 'data' / 'breast_tumors'}",
        "data.limit=2",
        f"clip.model={folder}",
        "sam=vit_b",
        f"sam.checkpoint={checkpoint}",
        "batch_size={saliency: 1, sam_mask: 1}",
        f"paths.outputs={tmp_path}",
    ]
    run(composed(*overrides), run_dir, {}, overrides)
    with (run_dir / "per_image.csv").open() as file:
        assert sum(row["stage"] == "sam" for row in csv.DictReader(file)) == 2
