"""Full-size networks from local files in the formats their publishers use, with random weights, on real images."""

import csv
import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from segment_anything import sam_model_registry

from medsam_exp.cli.runner import run
from medsam_exp.clip.load import load_clip
from medsam_exp.sam.families import FAMILIES
from tests.compose import composed


def biomedclip_folder(tmp_path: Path, shared: Path) -> Path:
    """BiomedCLIP's published files with random weights in place of its own."""
    folder = tmp_path / "biomedclip"
    shutil.copytree(shared / "models" / "biomedclip_config", folder)
    folder.chmod(0o755)
    clip = load_clip(str(folder), "random")
    torch.save(clip.network.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


@pytest.mark.slow
def test_biomedclip_and_sam_vit_b_segment_two_images(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = biomedclip_folder(tmp_path, shared)
    checkpoint = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(sam_model_registry["vit_b"]().state_dict(), checkpoint)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was opened"))

    run_dir = tmp_path / "run"
    run_dir.mkdir()
    overrides = [
        "+experiment=busi_zeroshot",
        f"data.root={shared / 'data' / 'breast_tumors'}",
        "data.index=index.csv",
        "data.limit=2",
        "clip=biomedclip",
        f"clip.model={folder}",
        "sam=vit_b",
        f"sam.checkpoint={checkpoint}",
        "batch_size={saliency: 1, sam_mask: 1}",
        f"paths.outputs={tmp_path}",
    ]
    run(composed(*overrides), run_dir, {}, overrides)
    with (run_dir / "per_image.csv").open() as file:
        assert sum(row["stage"] == "sam" for row in csv.DictReader(file)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["medsam", "sam_med2d"])
def test_a_medical_sam_in_its_published_layout_segments_an_image(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    family = FAMILIES[architecture]
    state = family.build().state_dict()
    checkpoint = tmp_path / family.file
    torch.save({"model": state} if architecture == "sam_med2d" else state, checkpoint)
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    overrides = [
        "data=phantom",
        "data.count=1",
        "saliency=intensity",
        f"sam={architecture}",
        f"sam.checkpoint={checkpoint}",
        "batch_size.sam_mask=1",
        f"paths.outputs={tmp_path}",
    ]
    run(composed(*overrides), run_dir, {}, overrides)
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["metrics"]["sam/dsc"]["n"] == 1
    seconds = summary["timing"]["sam_mask"]["seconds"]
    with capsys.disabled():
        print(f"{architecture}: loaded and run on one image in {seconds:.1f} s")


@pytest.mark.slow
def test_biomedclip_is_trained_for_three_steps(tmp_path: Path, shared: Path) -> None:
    folder, run_dir = biomedclip_folder(tmp_path, shared), tmp_path / "run"
    run_dir.mkdir()
    overrides = [
        "+experiment=medpix_finetune",
        "pairs=phantom",
        "pairs.train.count=12",
        "pairs.validation.count=4",
        f"clip.model={folder}",
        "fit.batch_size=4",
        "fit.chunk_size=2",
        "fit.epochs=1",
        f"paths.outputs={tmp_path}",
    ]
    run(composed(*overrides), run_dir, {}, overrides)
    key = json.loads((run_dir / "summary.json").read_text())["keys"]["finetune_clip"]
    before = load_clip(str(folder)).network.state_dict()
    after = load_clip(str(tmp_path / "artifacts" / "finetune_clip" / key / "clip")).network.state_dict()
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) > 0.9 * len(before)
    for name in moved:
        if name != "logit_scale":  # it carries the loss's temperature
            assert (after[name] - before[name]).abs().max() < 1e-5, "three steps of AdamW at 1e-6"
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
