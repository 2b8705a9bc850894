"""A run from images to report at growing numbers of images: `python -m benchmarks.bench_scale [--counts N,N]`.

Stages, engine, store, summary and report are the real ones; networks answer at once, so that what is measured is the
work around them: a first run, the same run again, and a first run shared by two processes.
`--folder` keeps what was drawn and computed, so that a later call measures the same run again; `--runs filled,again`
does without a first run over many images.
"""

import argparse
import cProfile
import io
import json
import logging
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console
from rich.table import Table

from medsam_exp.cli import runner
from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.cli.compose import composed
from medsam_exp.config.build import build
from medsam_exp.config.passed import check_once
from medsam_exp.curation.quality.quick_check import find_leaks
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.leakage import refuse_learnt_images
from medsam_exp.engine.plan import Plan
from medsam_exp.report import summary
from medsam_exp.report.page import write_report
from medsam_exp.report.pictures import save_pictures
from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.sizes import extent

_SIDE = 32
_PROCESSES = 2
_STAGES = ("saliency", "coarse_mask", "sam_mask", "evaluate")
_PARTS = ("dataset", "plan", "leaks", "leakage", *_STAGES, "summary", "report", "all")
_FIRST, _FILLED, _AGAIN, _SHARED = "first", "filled", "again", "shared"
"""A first run by one process; one whose stages compute few images and store the same of all others, where a first run
takes too long; the same again; and a first run by several processes."""
_COMPUTED = 64
"""Images of a filled run."""


def _configuration(folder: Path, what: str) -> DictConfig:
    """Of a run; several processes store beside what one has stored."""
    devices = (f"trainer.devices={_PROCESSES}", "trainer.accelerator=cpu") if what == _SHARED else ()
    return check_once(
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
                f"paths.outputs={folder / (_SHARED if what == _SHARED else _FIRST)}",
                f"trainer={'ddp' if devices else 'cpu'}",
                "workers=0",
                *devices,
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


def _instant(cfg: DictConfig) -> Callable[..., Any]:
    """What makes networks that answer at once, and all else as the configuration says."""

    def make(node: DictConfig, **overrides: Any) -> Any:
        from benchmarks.instant import (
            InstantClip,
            InstantSaliency,
            InstantSam,
        )  # torch, which a run again needs not

        instant = {"clip": InstantClip, "saliency": InstantSaliency, "sam": InstantSam}
        made = next((network for group, network in instant.items() if node == cfg[group]), None)
        return build(node, **overrides) if made is None else made()

    return make


def _fill(stored: StageArtifacts, ids: tuple[str, ...]) -> None:
    """Store of each image what was computed of one of the first."""
    arrays = {"saliency": stored.features, "coarse_mask": stored.mask, "sam_mask": stored.mask}
    read: Callable[[str], Any] = arrays.get(stored.stage, lambda _: None)
    known = [(stored.info(name), read(name)) for name in ids[:_COMPUTED]]
    with stored.gathered():
        for number, name in enumerate(ids[_COMPUTED:]):
            info, array = known[number % len(known)]
            stored.save(name, {**info, "id": name}, array)


def _run(folder: Path, what: str) -> dict[str, float]:
    """Seconds of processor time of each part of a run, of this process."""
    parts: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        parts[name] = parts.get(name, 0.0) + time.process_time() - started

    def timing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with timed(name):
                return function(*arguments, **options)

        return call

    def run_stage(engine: Engine, name: str, sample_ids: Sequence[str] | None = None) -> None:
        if what == _FILLED:
            stage(engine, name, engine.sample_ids[:_COMPUTED])
            _fill(engine.artifacts[name], engine.sample_ids)
        timing(name, stage)(engine, name, sample_ids)

    stage, cfg = Engine.run, _configuration(folder, what)
    run_dir = Path(cfg.paths.outputs) / "run"
    run_dir.mkdir(exist_ok=True)
    origin = {"choices": {"data": "folder"}, "command": "bench", "sweep": None, "started": time.time()}
    place = "medsam_exp.cli.runner"
    logging.getLogger("medsam_exp").setLevel(logging.ERROR)
    with (
        patch(f"{place}._inputs", timing("dataset", runner._inputs)),
        patch(f"{place}.Plan", timing("plan", partial(Plan, make=_instant(cfg)))),
        patch(f"{place}.find_leaks", timing("leaks", find_leaks)),
        patch(f"{place}.refuse_learnt_images", timing("leakage", refuse_learnt_images)),
        patch.object(Engine, "run", run_stage),
        patch(f"{place}.finish_run", timing("summary", summary.finish_run)),
        patch.object(summary, "save_pictures", timing("report", save_pictures)),
        patch.object(summary, "write_report", timing("report", write_report)),
        patch(f"{place}.print_summary", lambda *_, **__: None),
        timed("all"),
    ):
        runner.execute(cfg, run_dir, origin)
    if distributed.rank() == 0:
        parts["summary"] -= parts["report"]
    parts["page_mb"] = (run_dir / "report.html").stat().st_size / 1e6
    parts["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
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


def _measured(folder: Path, count: int, runs: Iterable[str]) -> dict[str, dict[str, float]]:
    """Figures of some runs over some images, each in a process of its own; what was drawn before is used again."""
    if not (folder / "data").is_dir():
        _draw(folder / "data", count)
    found = {}
    for what in runs:
        processes = _PROCESSES if what == _SHARED else 1
        started = time.perf_counter()
        module, arguments = "benchmarks.bench_scale", ["--child", str(folder), what]
        if processes > 1:
            failed = distributed.launch(module, arguments, processes)
        else:
            failed = subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode
        if failed:
            raise SystemExit(f"the {what} run over {count} images failed")
        seconds = time.perf_counter() - started
        shares = [json.loads((folder / f"{what}_{rank}.json").read_text()) for rank in range(processes)]
        found[what] = {**max(shares, key=lambda share: share["all"]), "on_the_clock": seconds}
        store = [extent(stage) for stage in (folder / what / "artifacts").glob("*")] if what == _FIRST else []
        found[what] |= {"store_bytes": sum(one.bytes for one in store) / count}
        found[what] |= {"store_files": sum(one.files for one in store)}
    return found


def _child(folder: Path, what: str) -> None:
    figures = _run(folder, what)
    (folder / f"{what}_{distributed.rank()}.json").write_text(json.dumps(figures))


def _profile(folder: Path, what: str) -> None:
    profile = cProfile.Profile()
    profile.runcall(_run, folder, what)
    pstats.Stats(profile).sort_stats("cumulative").print_stats("medsam_exp|genericpath|pathlib|json|csv", 70)


def _print(what: str, found: dict[int, dict[str, float]]) -> None:
    """Milliseconds an image of each part, by number of images."""
    counts = list(found)
    table = Table("processor time", *(f"{count} images" for count in counts), title=f"{what} run")
    for part in _PARTS:
        cells = (f"{1000 * found[count].get(part, 0) / count:.3f} ms an image" for count in counts)
        table.add_row(part, *cells)
    table.add_row("peak memory", *(f"{found[count]['peak_mb']:.0f} MB" for count in counts))
    table.add_row("page", *(f"{found[count]['page_mb']:.1f} MB" for count in counts))
    if what == _FIRST:
        table.add_row("store", *(f"{found[count]['store_bytes']:.0f} bytes an image" for count in counts))
        table.add_row("files of the store", *(f"{found[count]['store_files']:.0f}" for count in counts))
    if len(counts) > 1:
        first, last = counts[0], counts[-1]
        grown = found[last]["all"] / found[first]["all"]
        table.add_row("exponent of all in the number", f"{np.log(grown) / np.log(last / first):.2f}")
    Console().print(table)


def main() -> None:
    """Print figures of each kind of run, by number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1000,4000")
    parser.add_argument("--runs", default=f"{_FIRST},{_AGAIN},{_SHARED}")
    parser.add_argument(
        "--folder", type=Path, help="of images and results, one folder for each number of images"
    )
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--profile", nargs=2, metavar=("FOLDER", "RUN"), help="of a folder that is there")
    options = parser.parse_args()
    if options.child:
        distributed.work_as_member(partial(_child, Path(options.child[0]), options.child[1]))
    if options.profile:
        _profile(Path(options.profile[0]), options.profile[1])
        return
    found: dict[str, dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for count in map(int, options.counts.split(",")):
            folder = (options.folder or Path(name)).absolute() / str(count)
            for what, figures in _measured(folder, count, options.runs.split(",")).items():
                found.setdefault(what, {})[count] = figures
    for what, by_count in found.items():
        _print(what, by_count)
    for count in found.get(_SHARED, {}).keys() & found.get(_FIRST, {}).keys():
        one, share = found[_FIRST][count], found[_SHARED][count]
        print(
            f"{count} images: {one['all'] / share['all']:.2f} x less processor time of the busier of two processes, "
            f"{one['on_the_clock'] / share['on_the_clock']:.2f} x on the clock"
        )


if __name__ == "__main__":
    main()
