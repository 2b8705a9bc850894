"""A small sweep over drawn scans with stored maps, masks and prompts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.metrics.overlap import dice
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.sweep.collect import collect

DATA: dict[str, Any] = {
    "name": "phantom", "seed": 3, "count": 4, "target": "lesion", "modality": None, "sentences": "phantom",
    "sentence_lists": None, "modalities": ["ultrasound", "ct"], "normal_fraction": 0.0, "pair_fraction": 0.4,
    "mask_shows": "target", "absent_fraction": 0.0, "split": "test",
}  # fmt: skip
TARGET = "medsam_exp.data.phantom.dataset.PhantomDataset"


def _job(folder: Path, artifacts: Path, saliency: str, prompt: str, data: PhantomDataset) -> None:
    """A finished run whose masks are the true ones, moved; job `box` has a box, the other one point."""
    (folder / ".hydra").mkdir(parents=True)
    config = {
        "data": {"_target_": TARGET, **DATA},
        "paths": {"artifacts": str(artifacts)},
        "saliency": {"_target_": saliency, "beta": 2.0},
        "prompt": {"_target_": prompt},
    }
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
    (folder / ".hydra" / "overrides.yaml").write_text(
        json.dumps([f"saliency={saliency}", f"prompt={prompt}"])
    )
    digests = {sample.id: "0123456789ab" for sample in data.samples}
    keys = {
        "saliency": saliency,
        "coarse_mask": saliency,
        "sam_mask": f"{saliency}_{prompt}",
        "evaluate": "e",
    }
    stores = {stage: StageArtifacts(artifacts, stage, key, digests) for stage, key in keys.items()}
    rows = ["id,text,stage,dsc,iou"]
    for sample in data.samples:
        truth = data.read_ground_truth(sample.id)
        moved = np.roll(truth, 3 if saliency == "m2ib" else 25, axis=1)
        x, y = (int(place) for place in np.argwhere(moved)[0][::-1])
        prompts = {"boxes_xyxy": [[x, y, x + 20, y + 20]], "point_coords": None, "point_labels": None}
        if prompt != "box":
            prompts = {"boxes_xyxy": None, "point_coords": [[[x, y]]], "point_labels": [[1]]}
        stores["saliency"].save(sample.id, {}, moved.astype(np.float32))
        stores["coarse_mask"].save(sample.id, {}, moved)
        stores["sam_mask"].save(sample.id, {"prompts": prompts}, moved)
        rows += [f"{sample.id},a mass,{stage},{dice(moved, truth)},0.5" for stage in ("coarse", "sam")]
    (folder / "per_image.csv").write_text("\n".join(rows) + "\n")
    summary = {
        "name": "small",
        "choices": {"data": "phantom"},
        "date": "2026-03-01T12:30:00+00:00",
        "keys": keys,
        "metrics": {},
        "command": "run.py </script>",
    }
    (folder / "summary.json").write_text(json.dumps({**summary, "environment": {"python": "3.11"}}))


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a sweep of 2 saliency methods x 2 prompts over 4 drawn scans, collected; one more job failed."""
    pytest.importorskip("plotly")
    folder = tmp_path_factory.mktemp("small")
    data = PhantomDataset(**DATA)
    grid = [(saliency, prompt) for saliency in ("m2ib", "a<b&c") for prompt in ("box", "points")]
    for number, (saliency, prompt) in enumerate(grid):
        _job(folder / str(number), folder / "artifacts", saliency, prompt, data)
    (folder / "4" / ".hydra").mkdir(parents=True)
    (folder / "4" / ".hydra" / "overrides.yaml").write_text('["saliency=m2ib", "prompt=both"]')
    (folder / "4" / "run.log").write_text("out of <memory>\n")
    collect([folder], folder)
    return folder
