"""Sweeps as they lie on disk, made up: as much of a run's folder as is read here."""

import csv
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.metrics.summary import summarise

IMAGES = [f"scan_{n}" for n in range(8)]


def score(seed: str, image: str, **values: str) -> float:
    """A made-up DSC: noise of its own for each image and job, about a mean of its combination."""
    generator = np.random.default_rng(zlib.crc32(f"{sorted(values.items())}{seed}{image}".encode()))
    centre = 0.5 + 0.3 * (values.get("saliency") == "m2ib") + 0.05 * (values.get("postprocess") == "kmeans")
    return float(np.clip(centre + 0.05 * generator.normal(), 0, 1))


def make_run(
    folder: Path, overrides: Mapping[str, str], images: list[str] | None = None, data: str = "phantom"
) -> None:
    """A finished run's folder."""
    (folder / ".hydra").mkdir(parents=True)
    typed = [f"- {key}={value}" for key, value in overrides.items()]
    (folder / ".hydra" / "overrides.yaml").write_text("\n".join(["- +experiment=demo", *typed]) + "\n")
    settings = "".join(f"{key}: {value}\n" for key, value in overrides.items() if "." not in key)
    (folder / ".hydra" / "config.yaml").write_text(
        f"{settings}data: {{count: 8}}\npaths: {{artifacts: nowhere}}\n"
    )
    own = {key: value for key, value in overrides.items() if key != "seed"}
    sam = {name: score(overrides.get("seed", "0"), name, **own) for name in images or IMAGES}
    metrics = {f"{stage}/dsc": summarise(list(sam.values())) for stage in ("coarse", "sam")}
    choices = {"data": data, **{key: value for key, value in own.items() if "." not in key}}
    summary: dict[str, Any] = {"choices": choices, "metrics": metrics, "nsd_tolerance": "2 px", "keys": {}}
    summary |= {"environment": {"python": "3.11"}, "command": "python run.py", "name": "maps", "notes": []}
    (folder / "summary.json").write_text(json.dumps(summary))
    with (folder / "per_image.csv").open("w", newline="") as file:
        writer = csv.DictWriter(
            file, ["id", "text", "stage", "dsc", "hd95_px", "presence", "peak_distance_px"]
        )
        writer.writeheader()
        for stage in ("saliency", "coarse", "sam"):
            for name, value in sam.items():
                scores = {"dsc": value if stage == "sam" else value / 2, "hd95_px": 9 - 8 * value}
                scores = {"peak_distance_px": 3.0} if stage == "saliency" else scores
                writer.writerow({"id": name, "text": "a mass", "stage": stage, "presence": 1.0, **scores})


def make_sweep(folder: Path, axes: Mapping[str, list[str]], failed: Mapping[int, str] | None = None) -> Path:
    """A sweep with a sweep.json; jobs named in `failed` left nothing but their error."""
    jobs: list[dict[str, Any]] = []
    combinations: list[dict[str, str]] = [{}]
    for axis, values in axes.items():
        combinations = [{**own, axis: value} for own in combinations for value in values]
    for number, own in enumerate(combinations):
        error = (failed or {}).get(number)
        if error is None:
            make_run(folder / str(number), own)
        entry = {"number": number, "overrides": own, "folder": str(number), "command": f"run.py {number}"}
        jobs.append({**entry, "status": "done" if error is None else "failed", "error": error})
    content = {"id": "0123456789", "name": "maps", "axes": axes, "jobs": jobs}
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


AXES = {"saliency": ["m2ib", "gradcam", "a_b&c%"], "postprocess": ["kmeans", "otsu"], "seed": ["0", "1", "2"]}


@pytest.fixture
def sweep_folder(tmp_path: Path) -> Path:
    """3 saliency methods x 2 post-processors x 3 seeds."""
    return make_sweep(tmp_path / "sweep", AXES)
