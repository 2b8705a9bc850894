"""What is done to each image beside the networks, against its plainest form: `python -m benchmarks.bench_host`."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from benchmarks.plain_host import (
    plain_average_precision,
    plain_boxes,
    plain_confident_components,
    plain_nsd_released,
    plain_otsu,
    plain_outlines,
    plain_peak_distance,
    plain_read,
    plain_read_mask,
    plain_roc_auc,
    plain_to_original_frame,
)
from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.data.decoding import read_image
from medsam_exp.data.masks import read_mask
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.masks.component_filter.confidence import ConfidentComponents
from medsam_exp.masks.components import regions_of
from medsam_exp.masks.postprocess.otsu import Otsu
from medsam_exp.metrics.nsd_released import nsd_released
from medsam_exp.metrics.saliency_maps import average_precision, peak_distance, roc_auc
from medsam_exp.metrics.surface import compare_outlines
from medsam_exp.saliency.geometry import Squash
from medsam_exp.types import Mask

SIZES = ((256, 256), (480, 560), (1024, 1024), (2048, 2500))
BINS, CONFIDENCE, TOLERANCE_PX = 256, 0.5, 2.0
ROUNDS = 3
"""The two ways take turns; the fastest of each counts, as others share the machine."""


class Step(NamedTuple):
    """One thing that is done to an image.

    Attributes:
        what: it is.
        plain: its plainest form.
        ours: our form.
        usual: whether a run does it whose metrics are the default ones.
    """

    what: str
    plain: Callable[[], object]
    ours: Callable[[], object]
    usual: bool = True


def main() -> None:
    """Print milliseconds of processor time an image, of both ways, and their ratio."""
    table = Table("what", "plain, ms", "ours, ms", "ratio")
    for row in rows():
        table.add_row(row.what, f"{row.reference:.2f}", f"{row.ours:.2f}", f"{row.ratio:.1f} x")
    Console().print(table)


def rows() -> Iterator[Row]:
    """Each step on a drawn scan of each size, on one thread, and the sum of the usual steps."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder, threadpool_limits(1):
        for size in SIZES:
            name, plain_sum, ours_sum = f"{size[0]} x {size[1]}", 0.0, 0.0
            for step in steps(size, Path(folder)):
                plain, ours = milliseconds(step.plain, step.ours)
                yield Row(f"{name}: {step.what}", "ms", plain, ours)
                plain_sum += plain * step.usual
                ours_sum += ours * step.usual
            yield Row(f"{name}: sum of the usual steps", "ms", plain_sum, ours_sum)


def steps(size: tuple[int, int], folder: Path) -> Iterator[Step]:
    """All steps for a scan of (H, W) pixels that is stored in the folder."""
    gray, rgb, truth, grid = scan(size, folder)
    gray_mask, rgb_mask = folder / f"gray_mask_{size[0]}.png", folder / f"rgb_mask_{size[0]}.png"
    Image.fromarray(truth).convert("L").save(gray_mask)
    Image.fromarray(truth).convert("RGB").save(rgb_mask)
    geometry, otsu, confident = Squash(torch.from_numpy), Otsu(BINS), ConfidentComponents(CONFIDENCE)
    image, saliency_map = read_image(rgb), geometry.to_original_frame(grid, size)
    coarse = otsu(saliency_map, image)
    masks = np.roll(truth, (size[0] // 50, size[1] // 60), (0, 1)), truth
    of_map = saliency_map, truth
    yield Step("read RGB", partial(plain_read, rgb), partial(read_image, rgb))
    yield Step("read gray", partial(plain_read, gray), partial(read_image, gray), usual=False)
    yield Step("read gray mask", partial(plain_read_mask, gray_mask), partial(read_mask, gray_mask))
    yield Step("read RGB mask", partial(plain_read_mask, rgb_mask), partial(read_mask, rgb_mask), usual=False)
    yield Step(
        "map to its frame",
        partial(plain_to_original_frame, grid, size),
        partial(geometry.to_original_frame, grid, size),
    )
    yield Step("Otsu", partial(plain_otsu, saliency_map, BINS), partial(otsu, saliency_map, image))
    yield Step(
        "confident regions",
        partial(plain_confident_components, coarse, saliency_map, CONFIDENCE),
        partial(confident, coarse, saliency_map),
    )
    yield Step("boxes of regions", partial(plain_boxes, coarse), lambda: regions_of(coarse).boxes)
    yield Step("outlines of two masks", partial(plain_outlines, *masks), partial(compare_outlines, *masks))
    yield Step("distance of the peak", partial(plain_peak_distance, *of_map), partial(peak_distance, *of_map))
    yield Step(
        "average precision",
        partial(plain_average_precision, *of_map),
        partial(average_precision, *of_map),
        usual=False,
    )
    yield Step("area under ROC", partial(plain_roc_auc, *of_map), partial(roc_auc, *of_map), usual=False)
    yield Step(
        "NSD as released",
        partial(plain_nsd_released, *masks, TOLERANCE_PX),
        partial(nsd_released, *masks, TOLERANCE_PX),
        usual=False,
    )


def scan(size: tuple[int, int], folder: Path) -> tuple[Path, Path, Mask, Tensor]:
    """A drawn scan enlarged to (H, W): as PNG in gray and in RGB, its target, and a map (14, 14) that half knows it."""
    scans = PhantomDataset(seed=2, count=1)
    name = scans.samples[0].id
    height, width = size
    drawn = Image.fromarray(scans.read_image(name)).resize((width, height), Image.Resampling.BICUBIC)
    gray, rgb = folder / f"gray_{height}.png", folder / f"rgb_{height}.png"
    drawn.convert("L").save(gray)
    drawn.save(rgb)
    target = Image.fromarray(scans.read_ground_truth(name)).resize((width, height), Image.Resampling.NEAREST)
    truth = np.array(target)
    hint = adaptive_avg_pool2d(torch.from_numpy(truth)[None].float(), 14)[0]
    noise = torch.rand(14, 14, generator=torch.Generator().manual_seed(0))
    return gray, rgb, truth, hint + 0.5 * noise


def milliseconds(plain: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float]:
    """Processor time of a call, each after one to warm up."""
    fastest = []
    for call in (plain, ours):
        call()
        fastest.append(float("inf"))
    for _ in range(ROUNDS):
        for way, call in enumerate((plain, ours)):
            start = time.process_time()
            call()
            fastest[way] = min(fastest[way], 1e3 * (time.process_time() - start))
    return fastest[0], fastest[1]


if __name__ == "__main__":
    main()
