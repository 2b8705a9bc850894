"""Makes the pictures of the documentation: `python docs/images/make.py`, from the top of a checkout; minutes on a CPU.

It runs the demonstration and one sweep on drawn scans, as a user would, and draws from what they leave behind.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEMO = "+experiment=demo name=docs_case"
OFFLINE = "+experiment=demo name=docs_wandb data.count=4 logger=wandb"
SWEEP = "-m +experiment=demo name=docs_sweep report_cases=1"
METHODS = ("m2ib", "gradient_rollout", "gscorecam", "gradcam", "intensity")
SHOWN = ("coarse/dsc", "sam/dsc", "sam/nsd", "sam/hd95_px")
LAYERS = {"coarse": ("#ffc83d", 1.6), "ground truth": ("#ff5c8a", 3.2), "prediction": ("#00c2a8", 1.3)}
"""Colour and width of the outlines of each mask, from the lowest to the uppermost."""
PROMPTS = ("box", "points", "both", "center_box")
COLOURS, WIDEST = 256, 1400  # of the palette, and pixels; they keep a picture below 150 kB
INK, FAINT = "#1a1a1a", "#5c5c5c"
KINDS = {"given": "#eef3f6", "network": "#d7ecf3", "rule": "#f6efdc", "truth": "#f3dfe3"}
BOXES = {
    "image and text": (0.0, 2.0, "given", "a scan, and words\nfor what to find"),
    "saliency": (2.6, 2.0, "network", "CLIP: which patches\nmatch the text"),
    "coarse_mask": (5.2, 2.0, "rule", "threshold and\nchoice of regions"),
    "sam_mask": (7.8, 2.0, "network", "prompts for SAM,\none mask back"),
    "evaluate": (10.4, 2.0, "truth", "scores; alone\nreads true masks"),
    "image-text pairs": (0.0, 3.7, "given", "a CSV of images\nand captions"),
    "finetune_clip": (2.6, 3.7, "network", "DHN-NCE and\nother losses"),
    "presence": (5.2, 3.7, "network", "is the target\nthere at all?"),
    "weak_label": (5.2, 0.3, "rule", "zero-shot masks\nbecome labels"),
    "train_nnunet": (7.8, 0.3, "network", "unmodified nnU-Net,\nensemble in cycles"),
    "uncertainty": (10.4, 0.3, "truth", "which masks to\nlook at first"),
}
"""Title -> left, bottom, kind and words of each box, in units of the drawing."""
ARROWS = (
    ("image and text", "saliency"),
    ("saliency", "coarse_mask"),
    ("coarse_mask", "sam_mask"),
    ("sam_mask", "evaluate"),
    ("image-text pairs", "finetune_clip"),
    ("finetune_clip", "saliency"),
    ("saliency", "presence"),
    ("presence", "coarse_mask"),
    ("sam_mask", "weak_label"),
    ("weak_label", "train_nnunet"),
    ("train_nnunet", "uncertainty"),
    ("train_nnunet", "evaluate"),
)
WIDTH, HEIGHT = 2.1, 1.1


def main() -> None:
    """Run what is needed and write the pictures, but for the app's, which is a screenshot."""
    write(pipeline(), "pipeline.png")
    run(OFFLINE)
    write(wandb_table(newest("runs/docs_wandb") / "wandb"), "wandb.png")
    run(DEMO)
    keep_case(newest("runs/docs_case"))
    run(f"{SWEEP} saliency={','.join(METHODS)} prompt={','.join(PROMPTS)}")
    write(heat_map(newest("sweeps/docs_sweep") / "table.csv"), "sweep.png")


def run(options: str) -> None:
    """One command as it is typed."""
    offline = {**os.environ, "WANDB_MODE": "offline"}
    subprocess.run([sys.executable, "run.py", *options.split()], cwd=ROOT, check=True, env=offline)


def newest(below: str) -> Path:
    """The last folder of a run or sweep."""
    folders = [path for path in (ROOT / "outputs" / below).iterdir() if path.is_dir()]
    return max(folders, key=lambda path: path.stat().st_mtime)


def keep_case(folder: Path) -> None:
    """The run's own picture of its first median case, neither its best nor chosen by hand."""
    (path, *_) = sorted((folder / "figures").glob("*_median_*.png"))
    with Image.open(path) as picture:
        _save(picture.convert("RGB"), "case.png")


def wandb_table(kept: Path) -> Figure:
    """What a run kept for W&B: the rows of its table of images, with the pictures and masks that would be sent."""
    staged = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path for path in kept.glob("artifacts/staging/*")
    }
    tables = [json.loads(path.read_bytes()) for path in staged.values() if path.read_bytes()[:1] == b"{"]
    table = next(one for one in tables if one["_type"] == "table")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    figure = Figure(figsize=(10.8, 1.75 * len(rows) + 0.9))
    cells = figure.subplots(len(rows), 3, squeeze=False, width_ratios=(1.0, 1.9, 3.2))
    for (picture, text, scores), row in zip(cells, rows, strict=True):
        for axes in (picture, text, scores):
            axes.set_axis_off()
        picture.imshow(np.asarray(Image.open(staged[row["image"]["sha256"]])))
        for name, (colour, width) in LAYERS.items():
            mask = np.asarray(Image.open(staged[row["image"]["masks"][name]["sha256"]])) > 0
            picture.contour(mask, levels=[0.5], colors=[colour], linewidths=width)
        words = f"{row['id']}\n\n{textwrap.fill(row['text'], 34)}"
        text.text(0, 0.5, words, va="center", fontsize=10, color=INK)
        for place, name in enumerate(SHOWN):
            said = f"{row[name]:.1f}" if name.endswith("px") else f"{row[name]:.3f}"
            scores.text(
                (place + 0.5) / len(SHOWN), 0.5, said, ha="center", va="center", fontsize=11, color=INK
            )
    figure.subplots_adjust(
        left=0.01, right=0.99, top=1 - 0.75 / figure.get_figheight(), bottom=0.01, hspace=0.06, wspace=0.04
    )
    _head(figure, cells[0])
    return figure


def _head(figure: Figure, first: np.ndarray) -> None:
    """Names of the columns above the first row, and of the outlines."""
    above = 1 - 0.62 / figure.get_figheight()
    picture, text, scores = (axes.get_position() for axes in first)
    figure.text(text.x0, above, "id, text", fontsize=10, color=FAINT)
    for place, name in enumerate(SHOWN):
        across = scores.x0 + (place + 0.5) / len(SHOWN) * scores.width
        figure.text(across, above, name, ha="center", fontsize=10, color=FAINT)
    lines = [Line2D([], [], color=colour, lw=width, label=name) for name, (colour, width) in LAYERS.items()]
    figure.legend(
        handles=lines, loc="upper left", ncols=3, frameon=False, fontsize=10, bbox_to_anchor=(picture.x0, 1)
    )
    title = "per_image, kept offline, worst first"
    figure.text(0.99, 1 - 0.3 / figure.get_figheight(), title, ha="right", fontsize=10, color=FAINT)


def heat_map(table: Path) -> Figure:
    """Mean DSC of SAM's mask for each saliency method and visual prompt."""
    rows = pd.read_csv(table)
    rows = rows[rows["stage"] == "sam"]
    means = rows.pivot_table(index="saliency", columns="prompt", values="dsc").loc[
        list(METHODS), list(PROMPTS)
    ]
    figure = Figure(figsize=(6.4, 3.6), facecolor="white", layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(means, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(means.to_numpy()):
        axes.text(
            column, row, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else INK
        )
    axes.set_xticks(range(len(PROMPTS)), PROMPTS)
    axes.set_yticks(range(len(METHODS)), METHODS)
    axes.set_xlabel("prompt", color=FAINT)
    axes.set_ylabel("saliency", color=FAINT)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    figure.colorbar(shown, label=f"mean DSC of {rows['id'].nunique()} drawn scans").outline.set_visible(False)
    return figure


def pipeline() -> Figure:
    """The stages and what flows between them."""
    figure = Figure(figsize=(12.6, 5.1), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.2, 12.7), ylim=(-0.1, 5.1), aspect="equal")
    axes.set_axis_off()
    for start, end in ARROWS:
        _arrow(axes, BOXES[start][:2], BOXES[end][:2])
    for title, (left, bottom, kind, words) in BOXES.items():
        shape = FancyBboxPatch(
            (left, bottom), WIDTH, HEIGHT, "round,pad=0,rounding_size=0.12", fc=KINDS[kind], ec="#9fb2bc"
        )
        axes.add_patch(shape)
        axes.text(
            left + WIDTH / 2,
            bottom + HEIGHT - 0.17,
            title,
            ha="center",
            va="top",
            weight="bold",
            fontsize=13,
            color=INK,
        )
        axes.text(left + WIDTH / 2, bottom + 0.37, words, ha="center", va="center", fontsize=11, color=FAINT)
    return figure


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one box's border to another's: sideways in a row, up or down between rows."""
    if start[1] == end[1]:
        ends = (start[0] + WIDTH, start[1] + HEIGHT / 2), (end[0], end[1] + HEIGHT / 2)
    else:
        up = end[1] > start[1]
        ends = (
            (start[0] + WIDTH / 2, start[1] + HEIGHT * up),
            (end[0] + WIDTH / 2, end[1] + HEIGHT * (not up)),
        )
    axes.add_patch(
        FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=14, color="#6d7f88", shrinkA=0, shrinkB=1)
    )


def write(figure: Figure, name: str) -> None:
    """A figure as a small PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    with Image.open(buffer) as picture:
        _save(picture.convert("RGB"), name)


def _save(picture: Image.Image, name: str) -> None:
    if picture.width > WIDEST:
        picture = picture.resize(
            (WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS
        )
    small = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
