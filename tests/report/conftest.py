"""A finished run of three drawn images, in memory and as files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.report.figures.overlay import ImageResult, overlay_figure
from medsam_exp.report.figures.style import save_png
from medsam_exp.report.pictures import embedded
from medsam_exp.report.section import FigureFile, Row
from medsam_exp.types import Mask, Prompts


def values(row: Row) -> list[str]:
    """What the cells of a row say, without intervals."""
    return [cell if isinstance(cell, str) else cell.value for cell in row.cells]


def disc(row: int, column: int, radius: int, height: int = 60, width: int = 80) -> Mask:
    y, x = np.mgrid[:height, :width]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


@pytest.fixture
def case() -> ImageResult:
    y, x = np.mgrid[:60, :80]
    return ImageResult(
        sample_id="scan_07",
        text="a bright round lesion",
        image=np.stack([x * 3, y * 4, x + y], axis=-1).astype(np.uint8),
        saliency_map=np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / 200).astype(np.float32),
        coarse_mask=disc(30, 40, 14),
        prompts=Prompts(
            boxes_xyxy=np.array([[26, 16, 55, 45]], np.float32),
            point_coords=np.array([[[40, 30], [5, 5]]], np.float32),
            point_labels=np.array([[1, 0]]),
        ),
        mask=disc(30, 41, 12),
        ground_truth=disc(31, 40, 12),
        scores={"dsc": 0.9, "iou": 0.82, "nsd": 0.7, "hd95_px": 2.0},
    )


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """As in per_image.csv: three images, three stages."""
    found = []
    for number, name in enumerate(("scan_03", "scan_07", "scan_11")):
        text = {"id": name, "text": "a bright round lesion", "presence": 1.0}
        scores = {"dsc": 0.5 + number / 10, "iou": 0.4, "nsd": 0.3, "hd95_px": 12.25}
        found.append({**text, "stage": "saliency", "peak_x": 4, "peak_y": 5, "peak_distance_px": 1.5})
        found.append({**text, "stage": "coarse", **scores})
        found.append({**text, "stage": "sam", **scores, "dsc": scores["dsc"] + 0.1234})
    return found


@pytest.fixture
def summary() -> dict[str, Any]:
    def score(mean: float) -> dict[str, Any]:
        return {"mean": mean, "std": 0.111, "ci95": [mean - 0.05, mean + 0.05], "n": 3}

    return {
        "name": "phantom_zeroshot",
        "date": "2031-02-03T04:05:06+00:00",
        "command": "python run.py +experiment=phantom_zeroshot",
        "metrics": {
            "saliency/peak_distance_px": score(1.5),
            "sam/dsc": score(0.8125),
            "sam/hd95_px": score(7.25),
            "coarse/dsc": score(0.613),
            "coarse/hd95_px": score(9.2),
        },
        "choices": {"data": "phantom", "clip": "tiny", "postprocess": "kmeans"},
        "timing": {
            "saliency": {"seconds": 2.5, "images": 3, "images_per_second": 1.2, "cached": 0},
            "sam_mask": {"seconds": 0.0, "images": 0, "images_per_second": 0.0, "cached": 3},
        },
        "keys": {"saliency": "key-of-saliency", "sam_mask": "key-of-sam"},
        "environment": {"python": "3.11.9", "torch": "2.13.0"},
        "ground_truth_used_for": ["evaluate: scores (test)"],
        "notes": ["scan_99.png is unreadable and was skipped"],
    }


@pytest.fixture
def supervised_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """The same run, which says what the networks behind its masks had seen."""
    found = {
        "saliency": {"mark": "zero-shot", "because": ["CLIP saw photographs"], "besides": []},
        "coarse": {"mark": "zero-shot", "because": ["CLIP saw photographs"], "besides": []},
        "sam": {"mark": "supervised", "because": ["SAM saw masks"], "besides": ["CLIP saw photographs"]},
    }
    return {**summary, "supervision": found}


@pytest.fixture
def pictures(case: ImageResult, tmp_path: Path) -> list[FigureFile]:
    path = tmp_path / "figures" / "best.png"
    path.parent.mkdir()
    save_png(overlay_figure(case), path)
    return [
        FigureFile(caption, path, embedded(Image.open(path))) for caption in ("best: scan_07", "distribution")
    ]


@pytest.fixture
def summary_by_class(summary: dict[str, Any]) -> dict[str, Any]:
    """The same run with two classes and the further scores of masks."""

    def score(mean: float, n: int) -> dict[str, Any]:
        return {"mean": mean, "std": 0.022, "ci95": [mean - 0.05, mean + 0.05], "n": n}

    released = {"sam/nsd_released": score(0.955, 3), "sam/precision": score(0.744, 3)}
    by_class = {
        "benign [cyst]": {"sam/dsc": score(0.711, 1)},
        "malignant": {"sam/dsc": score(0.522, 2), "sam/hd95_px": score(8.5, 2), "coarse/dsc": score(0.2, 2)},
    }
    return {
        **summary,
        "metrics": summary["metrics"] | released,
        "by_class": by_class,
        "macro": {"sam/dsc": {**score(0.617, 3), "classes": 2}},
    }
