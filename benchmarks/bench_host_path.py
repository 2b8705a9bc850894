"""The path of images through the stages with networks that answer at once: `python -m benchmarks.bench_host_path`.

Plain is one step after the other, in the plainest form, on one thread; ours are the very stages.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.bench_host import BINS, CONFIDENCE, ROUNDS, TOLERANCE_PX
from benchmarks.instant import InstantClip, InstantSaliency, InstantSam, relevance, small
from benchmarks.plain_host import (
    plain_confident_components,
    plain_otsu,
    plain_outlines,
    plain_peak_distance,
    plain_read,
    plain_to_original_frame,
)
from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.kept_images import KeptImages
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.masks.component_filter.confidence import ConfidentComponents
from medsam_exp.masks.component_filter.none import AllComponents
from medsam_exp.masks.postprocess.otsu import Otsu
from medsam_exp.masks.veto.none import NoVeto
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.threads import usable_cores
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.pipeline import STAGES, stage_function

IMAGES = {(480, 560): 32, (1024, 1024): 16}
"""How many of each (H, W)."""
_ORDER = ("saliency", "coarse_mask", "sam_mask", "evaluate")
_BATCH = 8


class Spent(NamedTuple):
    """Milliseconds an image: on the clock, and of processors."""

    wall: float
    processor: float


def main() -> None:
    """Print milliseconds an image of both ways, and their ratio."""
    table = Table("what", "plain, ms", "ours, ms", "ratio", "besides")
    for row in rows():
        table.add_row(row.what, f"{row.reference:.1f}", f"{row.ours:.1f}", f"{row.ratio:.1f} x", row.note)
    Console().print(table)


def rows() -> Iterator[Row]:
    """The path of images of each size on the main thread alone, and with a thread a core beside it."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for (height, width), count in IMAGES.items():
        with TemporaryDirectory() as folder:
            root = Path(folder)
            write_images(root, (height, width), count)
            dataset = FolderDataset("bench", folder, "test")
            ways: dict[Any, Callable[[Path], None]] = {"plain": partial(plain, root)}
            ways |= {threads: partial(stages, dataset, threads=threads) for threads in (0, usable_cores())}
            spent = fastest(ways, root, count)
            reference = spent.pop("plain")
            for threads, ours in spent.items():
                yield Row(
                    f"{height} x {width}, {threads} threads beside the main one",
                    "ms on the clock",
                    reference.wall,
                    ours.wall,
                    note=f"processor time {reference.processor:.1f} and {ours.processor:.1f} ms; "
                    f"load {os.getloadavg()[0]:.1f} on {usable_cores()} cores",
                )


def fastest(ways: dict[Any, Callable[[Path], None]], root: Path, count: int) -> dict[Any, Spent]:
    """Least of what an image takes of each way, which take turns and write to folders of their own."""
    rounds = [
        {name: measured(partial(way, root / f"{name}_{number}"), count) for name, way in ways.items()}
        for number in range(ROUNDS)
    ]
    return {name: Spent(*map(min, zip(*(each[name] for each in rounds), strict=True))) for name in ways}


def measured(run: Callable[[], None], count: int) -> Spent:
    """What one image takes of a run over several."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return Spent(1e3 * (time.perf_counter() - clock) / count, 1e3 * (time.process_time() - processor) / count)


def write_images(root: Path, size: tuple[int, int], count: int) -> None:
    """Drawn scans enlarged to (H, W), as RGB PNG, with their targets."""
    scans = PhantomDataset(seed=2, count=count)
    for folder in ("test_images", "test_masks"):
        (root / folder).mkdir()
    for sample in scans.samples:
        drawn, truth = (
            Image.fromarray(scans.read_image(sample.id)),
            Image.fromarray(scans.read_ground_truth(sample.id)),
        )
        drawn.resize(size[::-1], Image.Resampling.BICUBIC).save(root / "test_images" / f"{sample.id}.png")
        truth.resize(size[::-1], Image.Resampling.NEAREST).save(root / "test_masks" / f"{sample.id}.png")


def stages(dataset: FolderDataset, artifacts: Path, *, threads: int) -> None:
    """Carry out the stages of a zero-shot run over a dataset."""
    digests, objects = FileDigests(), _objects()
    keys = {sample.id: dataset.image_digest(sample.id, digests) for sample in dataset.samples}
    stored = {name: StageArtifacts(artifacts, name, "k", keys) for name in _ORDER}
    ids, read_image = tuple(keys), KeptImages(dataset, digests)
    for name in _ORDER:
        with stored[name].gathered():
            stage_function(name)(
                StageContext(
                    build=lambda group, **_: objects[group],
                    trainer=partial(
                        pl.Trainer,
                        accelerator="cpu",
                        devices=1,
                        enable_progress_bar=False,
                        enable_model_summary=False,
                    ),
                    artifacts=stored[name],
                    parents={parent: stored[parent] for parent in _ORDER[: _ORDER.index(name)]},
                    dataset=dataset,
                    read_image=read_image,
                    texts=dict.fromkeys(ids, ("a bright region",)),
                    pending=ids,
                    seed=0,
                    batch_size=_BATCH if STAGES[name].batch_size else 1,
                    workers=0,
                    threads=threads,
                    loggers=[],
                    advance=lambda _: None,
                    log=lambda _: None,
                    auxiliary=None,
                    trial=lambda *_: {},
                )
            )


def _objects() -> dict[str, Any]:
    return {
        "clip": InstantClip(),
        "saliency": InstantSaliency(),
        "postprocess": Otsu(BINS),
        "component_filter": ConfidentComponents(CONFIDENCE),
        "veto": NoVeto(),
        "prompt": BoxPerComponent(expansion=0.0, jitter=0.0),
        "sam": InstantSam(),
        "fusion": SingleMask(),
        "mask_filter": AllComponents(),
        "metrics": SegmentationMeasures(TOLERANCE_PX, "px"),
    }


def plain(root: Path, out: Path) -> None:
    """The same over a folder: each stage reads what it needs from files, and writes one file a result."""
    out.mkdir()
    images = sorted((root / "test_images").glob("*.png"))
    for stage in (_plain_saliency, _plain_coarse, _plain_sam, _plain_scores):
        for path in images:
            stage(path, out / path.stem)


def _plain_saliency(path: Path, out: Path) -> None:
    image = plain_read(path)
    grid = relevance(small(image)[None])[0]
    np.save(out.with_suffix(".npy"), plain_to_original_frame(grid, (image.shape[0], image.shape[1])))


def _plain_coarse(path: Path, out: Path) -> None:
    saliency_map = np.load(out.with_suffix(".npy"))
    plain_read(path)  # for post-processors that look at the image
    coarse = plain_confident_components(plain_otsu(saliency_map, BINS), saliency_map, CONFIDENCE)
    Image.fromarray(coarse).save(out.with_suffix(".coarse.png"))


def _plain_sam(path: Path, out: Path) -> None:
    coarse = plain_read(out.with_suffix(".coarse.png"))[..., 0] > 0
    small(plain_read(path))
    united = np.zeros(coarse.shape, bool)
    prompts = BoxPerComponent(expansion=0.0, jitter=0.0)(coarse, np.random.default_rng(0))
    if len(prompts):
        for logits, _ in InstantSam().decode(torch.zeros(1), prompts, (coarse.shape[0], coarse.shape[1])):
            united |= (logits[0] > 0).numpy()
    Image.fromarray(united).save(out.with_suffix(".sam.png"))


def _plain_scores(path: Path, out: Path) -> None:
    truth = plain_read(path.parent.parent / "test_masks" / path.name)[..., 0] > 0
    for kind in ("coarse", "sam"):
        mask = plain_read(out.with_suffix(f".{kind}.png"))[..., 0] > 0
        (mask & truth).sum(), (mask | truth).sum()
        if mask.any() and truth.any():
            plain_outlines(mask, truth)
    if truth.any():
        plain_peak_distance(np.load(out.with_suffix(".npy")), truth)


if __name__ == "__main__":
    main()
