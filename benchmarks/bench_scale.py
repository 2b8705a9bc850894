"""A finished run again, at growing numbers of images: `python -m benchmarks.bench_scale [--counts N,N] [--profile]`.

Networks that answer at once are stood for by records that are written straight into the store, of the form that the
stages give. What is measured is the work around them: reading the dataset, the plan, the check for leakage, the stages
that find everything stored, and the summary with its table and masks. The report is no part of it.
"""

import argparse
import cProfile
import io
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console
from rich.table import Table

from medsam_exp.cli import runner
from medsam_exp.cli.benchmark.rows import Row, print_rows
from medsam_exp.cli.compose import composed
from medsam_exp.config.schema import check
from medsam_exp.curation.quality.quick_check import find_leaks
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.leakage import refuse_learnt_images
from medsam_exp.engine.plan import Plan
from medsam_exp.report import summary
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.sizes import extent

_SIDE = 32
_MEASURES = ("dsc", "iou", "nsd", "hd95_px", "missed")
_OF_MAPS = ("roc_auc", "average_precision", "peak_distance_px")


def _configuration(folder: Path) -> DictConfig:
    return check(
        composed(
            [
                "data=folder",
                f"data.root={folder / 'data'}",
                "data.modality=ultrasound",
                "data.target=lesion",
                "text=class_name",
                "clip=tiny_random",
                "saliency=intensity",
                "sam=tiny_scratch",
                f"paths.outputs={folder}",
            ]
        )
    )


def _draw(folder: Path, count: int) -> None:
    """Images of 32 x 32 pixels, each another, with a mask."""
    generator = np.random.default_rng(0)
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    mask[10:20, 8:24] = 255
    for part in ("images", "masks"):
        (folder / f"test_{part}").mkdir(parents=True)
    for number in range(count):
        image = mask // 2 + generator.integers(0, 99, mask.shape, np.uint8)
        Image.fromarray(image).save(folder / "test_images" / f"scan_{number:06d}.png", compress_level=0)
        Image.fromarray(mask).save(folder / "test_masks" / f"scan_{number:06d}.png", compress_level=0)


def _fill(artifacts: Mapping[str, StageArtifacts], ids: tuple[str, ...]) -> None:
    """Write what the stages of a run would."""
    generator = np.random.default_rng(0)
    mask, grid = np.zeros((_SIDE, _SIDE), bool), generator.random((14, 14), dtype=np.float32)
    mask[10:20, 8:24] = True
    prompts = {"boxes_xyxy": [[8.0, 10.0, 24.0, 20.0]], "point_coords": None, "point_labels": None}
    frame = {"geometry": "squeezed", "size": [_SIDE, _SIDE]}
    facts: dict[str, dict[str, Any]] = {
        "saliency": {
            "texts": ["a lesion in an ultrasound image"],
            "presence": 1.0,
            "peak_x": 9,
            "peak_y": 12,
            "relevance": {f"feature_{number}": number / 7 for number in range(8)},
            "frame": frame,
        },
        "coarse_mask": {"vetoed": False, "presence": 1.0, "area_px": int(mask.sum())},
        "sam_mask": {"presence": 1.0, "iou_predictions": [0.9], "prompts": prompts},
    }
    for stage, array in (("saliency", grid), ("coarse_mask", mask), ("sam_mask", mask)):
        with artifacts[stage].gathered():
            for sample_id in ids:
                artifacts[stage].save(sample_id, facts[stage], array)
    with artifacts["evaluate"].gathered():
        for sample_id in ids:
            masks = {
                label: dict(zip(_MEASURES, generator.random(5), strict=True)) for label in ("coarse", "sam")
            }
            maps = dict(zip(_OF_MAPS, generator.random(3), strict=True))
            artifacts["evaluate"].save(sample_id, {"scores": {**masks, "saliency": maps}})


def _run_again(folder: Path, *, fill: bool) -> dict[str, float]:
    """Seconds of processor time of each part of a run; with `fill`, the records are written in the place of stages."""
    parts: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        parts[name] = time.process_time() - started

    def timing(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            with timed(name):
                return function(*arguments, **options)

        return call

    def planned(*arguments: Any, **options: Any) -> Plan:
        plan: Plan = timing("plan", Plan)(*arguments, **options)
        if fill:
            with timed("records"):
                _fill(plan.artifacts, plan.sample_ids)
        return plan

    stage = Engine.run

    def run_stage(engine: Engine, name: str) -> None:
        started = time.process_time()
        stage(engine, name)
        parts["stages"] = parts.get("stages", 0.0) + time.process_time() - started

    cfg = _configuration(folder)
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    origin = {"choices": {"data": "folder"}, "command": "bench"}
    place = "medsam_exp.cli.runner"
    with (
        patch(f"{place}._inputs", timing("dataset", runner._inputs)),
        patch(f"{place}.Plan", planned),
        patch(f"{place}.find_leaks", timing("leaks", find_leaks)),
        patch(f"{place}.refuse_learnt_images", timing("leakage", refuse_learnt_images)),
        patch.object(Engine, "run", run_stage),
        patch(f"{place}.finish_run", timing("summary", summary.finish_run)),
        patch.object(summary, "write_report", lambda *_, **__: None),
        patch.object(summary, "pictures_of", lambda *_: []),
        patch.object(summary, "print_summary", lambda *_, **__: None),
        timed("all"),
    ):
        runner.execute(cfg, run_dir, origin)
    return parts


def rows(count: int = 2000) -> Iterator[Row]:
    """The store alone against two plain files for each record: write all, find what is pending, read all facts."""
    ids = tuple(f"scan_{number:06d}" for number in range(count))
    info, mask = {"vetoed": False, "presence": 1.0, "area_px": 160}, np.zeros((_SIDE, _SIDE), bool)
    with tempfile.TemporaryDirectory() as name:
        started = time.process_time()
        for sample_id in ids:
            buffer = io.BytesIO()
            Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, format="PNG")
            write_atomically(Path(name, "plain", f"{sample_id}.png"), buffer.getvalue())
            write_atomically(
                Path(name, "plain", f"{sample_id}.json"), json.dumps({"id": sample_id, **info}).encode()
            )
        plain = [Path(name, "plain", f"{sample_id}.json") for sample_id in ids]
        facts = [json.loads(path.read_text()) for path in plain if path.is_file()]
        taken = time.process_time() - started
        stored = StageArtifacts(Path(name), "coarse_mask", "key", dict.fromkeys(ids, "0" * 12))
        started = time.process_time()
        with stored.gathered():
            for sample_id in ids:
                stored.save(sample_id, info, mask)
        assert not stored.pending(ids)
        assert [stored.info(sample_id) for sample_id in ids] == facts
        ours = time.process_time() - started
    yield Row("store: write, find and read a record", "ms", 1000 * taken / count, 1000 * ours / count)


def _measured(count: int, *, profile: bool) -> dict[str, float]:
    """Figures of one number of images, each part in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder / "data", count)
        _child(folder, "fill")
        stored = [extent(stage) for stage in (folder / "artifacts").iterdir() if stage.is_dir()]
        if profile:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.bench_scale", "--child", name, "profile"], check=True
            )
        figures = _child(folder, "again")
        figures["store_bytes"] = sum(one.bytes for one in stored) / count
        figures["store_files"] = sum(one.files for one in stored)
        return figures


def _child(folder: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_scale", "--child", str(folder), what]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _work(folder: Path, what: str) -> None:
    if what == "profile":
        profile = cProfile.Profile()
        profile.runcall(_run_again, folder, fill=False)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(
            "medsam_exp|scipy|genericpath|pathlib|json|csv", 60
        )
        return
    figures = _run_again(folder, fill=what == "fill")
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


def main() -> None:
    """Print milliseconds an image of each part, peak memory and the store, by number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1000,4000")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _work(Path(arguments.child[0]), arguments.child[1])
        return
    print_rows("the store", rows())
    counts = [int(count) for count in arguments.counts.split(",")]
    found = {count: _measured(count, profile=arguments.profile) for count in counts}
    table = Table("what", *(f"{count} images" for count in counts))
    parts = ("dataset", "plan", "leaks", "leakage", "stages", "summary", "all")
    for part in parts:
        cells = (f"{1000 * found[count][part] / count:.3f} ms an image" for count in counts)
        table.add_row(f"{part}, processor time", *cells)
    table.add_row("peak memory", *(f"{found[count]['peak_mb']:.0f} MB" for count in counts))
    table.add_row("store", *(f"{found[count]['store_bytes']:.0f} bytes an image" for count in counts))
    table.add_row("files of the store", *(f"{found[count]['store_files']:.0f}" for count in counts))
    if len(counts) > 1:
        first, last = counts[0], counts[-1]
        exponent = np.log(found[last]["all"] / found[first]["all"]) / np.log(last / first)
        table.add_row("exponent of the time in the number", f"{exponent:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
