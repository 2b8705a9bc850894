"""Full-size networks from local files in the formats their publishers use, with random weights, on real images."""

import csv
import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from medsam_exp.cli.runner import run
from medsam_exp.clip.load import load_clip
from medsam_exp.data.decoding import read_image
from medsam_exp.metrics.overlap import iou
from medsam_exp.saliency.m2ib import M2IB
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.weight_files import PUBLISHED
from medsam_exp.training.precision import encoders_in
from medsam_exp.types import Prompts
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
def test_bfloat16_keeps_maps_and_masks(tmp_path: Path, shared: Path) -> None:
    clip = load_clip(str(biomedclip_folder(tmp_path, shared)), "random")
    sam = load_sam("vit_b", "random")
    for name, parameter in sam.image_encoder.named_parameters():
        if "pos" in name:  # they start at zero
            torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(0))
    image = read_image(sorted((shared / "data" / "breast_tumors" / "test_images").glob("*.png"))[0])
    height, width = image.shape[:2]
    boxes = np.array([[0.3 * width, 0.2 * height, 0.7 * width, 0.6 * height]], np.float32)
    maps, masks = [], []
    for precision in ("32-true", "bf16-mixed"):
        low = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed")
        with encoders_in(torch.nn.ModuleList([clip, sam]), precision), torch.no_grad(), low:
            text = clip.encode_text(clip.tokenize(["a dark, irregular mass"]))
            pixels = clip.preprocess(image)[None]
            method = M2IB(layer=9, beta=1.0)
            maps.append(method(clip, pixels, text, [torch.Generator().manual_seed(0)]))
            embedding = sam.encode(sam.preprocess(image)[None])[0]
            ((logits, _),) = sam.decode(embedding, Prompts(boxes_xyxy=boxes), (height, width))
            masks.append((logits[0] > 0).numpy())
    assert np.corrcoef(*(each.flatten() for each in maps))[0, 1] > 0.99
    assert 0.01 < masks[0].mean() < 0.99
    assert iou(*masks) > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["medsam", "sam_med2d"])
def test_a_medical_sam_in_its_published_layout_segments_an_image(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = FAMILIES[architecture].build().state_dict()
    checkpoint = tmp_path / PUBLISHED[architecture].file
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
