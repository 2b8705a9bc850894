"""What `medsam-exp segment` does: the ordinary stages over a folder of images, once for each class."""

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from medsam_exp.cli.compose import composed
from medsam_exp.cli.interactive.groups import GROUPS
from medsam_exp.cli.interactive.networks import NetworkCache
from medsam_exp.cli.segment.classes import AskedClass, asked_classes
from medsam_exp.cli.segment.inputs import Inputs, gather, linked
from medsam_exp.cli.segment.results import Written, write_results
from medsam_exp.config.build import build
from medsam_exp.config.overrides import hydra_value
from medsam_exp.config.passed import check_once
from medsam_exp.data.volumes.grid import Plane
from medsam_exp.data.volumes.windowing import parse_window_level
from medsam_exp.engine.engine import Engine, with_lost_records_again
from medsam_exp.engine.leakage import learnt_earlier
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.provenance import caution
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Dataset, UserError

log = logging.getLogger(__name__)

_STORE = ".medsam_exp"
_STAGES = ("saliency", "presence", "coarse_mask", "sam_mask")


@dataclass(frozen=True)
class Wanted:
    """What is to be written besides masks.

    Attributes:
        overlays: images with the outlines of the masks.
        maps: saliency maps, as grey images and volumes.
    """

    overlays: bool = False
    maps: bool = False


@dataclass(frozen=True)
class Segmented:
    """What a command has done.

    Attributes:
        written: the files.
        inputs: what was given, with faults and notes.
        caution: what must stand beside the masks, one sentence; "" for nothing.
    """

    written: Written
    inputs: Inputs
    caution: str


def segment_images(
    paths: Sequence[Path],
    texts: Sequence[str],
    table: Path | None,
    out: Path,
    settings: Sequence[str] = (),
    choices: Mapping[str, str] | None = None,
    wanted: Wanted = Wanted(),
    *,
    plane: Plane = "acquired",
    window: Sequence[str] | None = None,
    recursive: bool = False,
    store: Path | None = None,
) -> Segmented:
    """Segment all images and volumes, and write the masks.

    Args:
        paths: files and folders.
        texts: what to find, one text for each class.
        table: a CSV of texts in place of them.
        out: folder for the results.
        settings: as a run takes them.
        choices: of configuration groups.
        wanted: what else is to be written.
        plane: in which volumes are cut into slices.
        window: how a volume's numbers become gray; None as its file asks.
        recursive: whether folders in folders are searched.
        store: folder for what has been computed, which a second call reuses; None for one in `out`.

    Raises:
        UserError: nothing can be read, or a setting cannot work.
    """
    asked, store = asked_classes(texts, table), store or out / _STORE
    inputs = gather(paths, store / "inputs", plane, parse_window_level(window, None), recursive=recursive)
    typed = [
        f"data.root={hydra_value(str(linked(inputs, store / 'inputs')))}",
        *_overrides(settings, choices or {}),
    ]
    places = [f"paths.outputs={hydra_value(str(store))}", "paths.artifacts=${paths.outputs}/artifacts"]
    several = ["sam_embedding"] if len(asked) > 1 else []  # spares the encoder for all texts after the first
    rival = any(word.startswith("text_segmenter=") for word in typed)
    stages = [*_STAGES[:-1], *several, _STAGES[-1], *(["text_mask"] if rival else [])]
    engines, networks, dataset = list[Engine](), NetworkCache(), None
    digests = FileDigests(store / "artifacts" / "file_digests.json")
    for one in asked:
        given = [
            "data=folder",
            "data.on_error=skip",
            *one.options,
            *places,
            *typed,
            f"stages=[{','.join(stages)}]",
        ]
        cfg = check_once(composed(given))
        _refuse_many_processes(cfg)
        dataset = dataset or _dataset(cfg, inputs)
        engines.append(_engine(cfg, dataset, one, digests, networks, [engine.plan for engine in engines]))
        with_lost_records_again(engines[-1].run_all)
    plans = [engine.plan for engine in engines]
    said = caution(plans[0], list(learnt_earlier(plans[0].cfg, plans[0])))

    def write() -> Written:
        for engine in engines:  # computes what was lost since
            engine.run_all()
        return write_results(
            out, inputs, asked, plans, overlays=wanted.overlays, maps=wanted.maps, expects=not said
        )

    return Segmented(with_lost_records_again(write), inputs, said)


def say(done: Segmented, out: Path) -> int:
    """Print what was written to a folder, and what could not be read; the exit code, 1 where there was such."""
    for note in done.inputs.notes:
        print(f"note: {note}")
    for fault in done.inputs.faults:
        print(f"error: {fault}", file=sys.stderr)
    if done.caution:
        print(f"caution: {done.caution}", file=sys.stderr)
    print(_last_line(done.written, out))
    return int(bool(done.inputs.faults))


def _overrides(settings: Sequence[str], choices: Mapping[str, str]) -> list[str]:
    typed = dict(setting.split("=", 1) for setting in settings if setting.partition("=")[0] in GROUPS)
    others = [setting for setting in settings if setting.partition("=")[0] not in GROUPS]
    return [*(f"{group}={choice}" for group, choice in {**typed, **choices}.items()), *others]


def _dataset(cfg: DictConfig, inputs: Inputs) -> Dataset:
    dataset: Dataset = build(cfg.data)
    inputs.faults += [
        note.removeprefix("skipped: ") for note in dataset.notes if note.startswith("skipped: ")
    ]
    inputs.notes += [note for note in dataset.notes if not note.startswith("skipped: ")]
    return dataset


def _engine(
    cfg: DictConfig,
    dataset: Dataset,
    asked: AskedClass,
    digests: FileDigests,
    networks: NetworkCache,
    before: Sequence[Plan],
) -> Engine:
    """What computes the masks of one class."""
    texts = build(cfg.text).bind(dataset.samples)
    read_image = before[0].read_image if before else None
    plan = Plan(cfg, list(cfg.stages), dataset, texts, digests, make=networks, read_image=read_image)
    for line in plan.precision_lines() if not before else ():
        log.info("%-12s %s", "precision", line)
    return Engine(plan, seed=cfg.seed, images=asked.name)


def _refuse_many_processes(cfg: DictConfig) -> None:
    if cfg.trainer.get("devices", 1) not in (1, "auto") or cfg.trainer.get("num_nodes", 1) != 1:
        raise UserError(
            "segment works in one process; for several devices use medsam-exp run data=folder data.root=FOLDER"
        )


def _last_line(written: Written, out: Path) -> str:
    found = ", ".join(f"{count} with {name or 'a mask'}" for name, count in written.found.items())
    images = f"{written.images} image{'s' * (written.images != 1)}"
    scans = f" ({written.volumes} volume{'s' * (written.volumes != 1)})" if written.volumes else ""
    return f"{images}{scans}: {found}; written to {out}: masks, {first_few(written.others)}"


def speak() -> None:
    """Say what stages do on this console, and keep Lightning's advice for its own users away."""
    warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logger = logging.getLogger("medsam_exp")
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
