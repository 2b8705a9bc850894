"""One run from its configuration to its report: check, seed, track, stages, summary."""

import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, read_write

from medsam_exp.config.build import build
from medsam_exp.config.passed import check_once
from medsam_exp.config.settings import changed_settings
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import searches, tuning_config
from medsam_exp.config.tuned import refuse_to_overwrite
from medsam_exp.curation.quality.quick_check import find_leaks, leak_notes, refuse_leaky_training
from medsam_exp.engine.disk_space import refuse_full_disk
from medsam_exp.engine.engine import Engine, with_lost_records_again
from medsam_exp.engine.leakage import refuse_learnt_images, remember
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.provenance import caution
from medsam_exp.engine.supervision import supervision
from medsam_exp.report.console import print_summary
from medsam_exp.report.logger.base import NullTracker
from medsam_exp.report.logger.job import SweepJob, TrackedRun
from medsam_exp.report.summary import command_line, finish_run, help_to_finish
from medsam_exp.runtime import distributed
from medsam_exp.runtime.console import only_warnings
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.limits import use_limits
from medsam_exp.runtime.nodes import is_first_node, job_nodes
from medsam_exp.runtime.run_status import alive, write_keys
from medsam_exp.stages.auto_precision import AUTO, FULL
from medsam_exp.stages.pipeline import STAGES, readers
from medsam_exp.types import Dataset, UserError

log = logging.getLogger(__name__)

LOST_FILE = "lost_records"
"""In the folder of a job of several processes, one of which has found a damaged record of a stage passed over."""


def run(
    cfg: DictConfig,
    run_dir: Path,
    choices: Mapping[str, str],
    overrides: list[str],
    sweep: SweepJob | None = None,
    started: float | None = None,
) -> None:
    """Check a composed configuration and execute it, as a process group of its own when it has several devices.

    Args:
        cfg: the composed configuration.
        run_dir: existing folder for this run.
        choices: chosen option of each config group.
        overrides: what the user typed.
        sweep: this run's place in a sweep, for its tracker.
        started: when the run's process began, in seconds since the epoch, for what it says of its time.

    Raises:
        UserError: the configuration or the data cannot work.
    """
    quiet = sweep is not None and sweep.shares_console
    with (
        alive(run_dir) if is_first_node() else nullcontext(),
        only_warnings() if quiet else nullcontext(),
    ):
        use_limits(cfg.limits)
        cfg = _without_addresses(check_once(cfg))
        if cfg.trainer.get("accelerator") in ("gpu", "cuda") and not _has_cuda():
            raise UserError("trainer.accelerator=gpu, but this machine has no CUDA device; use trainer=cpu")
        own = {group: name for group, name in choices.items() if group in cfg or group == "experiment"}
        refuse_to_overwrite(cfg, own)
        origin = {
            "choices": own,
            "command": command_line(overrides),
            "sweep": asdict(sweep) if sweep else None,
            "changed_settings": changed_settings(cfg, own),
            "started": started,
        }
        nodes = job_nodes()
        if (asked := cfg.trainer.get("num_nodes", 1)) != (given := nodes.count if nodes else 1):
            raise UserError(
                f"trainer.num_nodes={asked}, but this job has {given}; jobs on several machines are started by SLURM: "
                f"hydra/launcher=slurm_ddp with trainer=ddp trainer.num_nodes={max(asked, given)}"
            )
        if cfg.trainer.get("devices", 1) == 1 and nodes is None:
            execute(cfg, run_dir, origin)
            return
        if nodes is None or nodes.own == 0:  # the others join only after this one, and read what it wrote
            OmegaConf.save(cfg, run_dir / "job.yaml")
            (run_dir / "job.json").write_text(json_text(origin))
        failed = distributed.launch("medsam_exp.cli.worker", [str(run_dir)], cfg.trainer.devices, nodes)
        while failed and nodes is None and (run_dir / LOST_FILE).is_file():
            (run_dir / LOST_FILE).unlink()
            failed = distributed.launch("medsam_exp.cli.worker", [str(run_dir)], cfg.trainer.devices)
        if failed:
            raise UserError(
                f"a process of this job failed; its error stands above and in {run_dir / 'run.log'}"
            )


def plan_digest(cfg: DictConfig) -> str:
    """Digest of what a run of this configuration computes: its stages' keys, and what its images and texts hold now.

    No network is loaded; of files, only those are read whose content is not known yet. What `trainer.precision=auto`
    takes is left out: a sweep's jobs may be asked about on another machine than the one that computes them.

    Raises:
        UserError: the configuration or the data cannot work.
    """
    use_limits(cfg.limits)
    cfg = _with_tuning(check_once(cfg))
    if cfg.trainer.get("precision") == AUTO:
        cfg = cfg.copy()
        with read_write(cfg):
            cfg.trainer.precision = FULL
    digests = FileDigests(Path(cfg.paths.artifacts) / "file_digests.json")
    dataset, texts, _ = _inputs(cfg, say_notes=False)
    stages = _possible_stages(cfg, dataset)
    plan = Plan(cfg, stages, dataset, texts, digests)
    return text_digest(*(f"{name} {stored.content_digest}" for name, stored in plan.artifacts.items()))


def execute(cfg: DictConfig, run_dir: Path, origin: Mapping[str, Any]) -> None:
    """Run all stages of a checked configuration on this process and write the run's files."""
    warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")  # advice for its own users
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    use_limits(cfg.limits)
    scored_later = _scored_later(cfg)
    cfg = _with_tuning(cfg)
    first = distributed.rank() == 0
    digests = FileDigests(Path(cfg.paths.artifacts) / "file_digests.json" if first else None)
    dataset, texts, texts_tell = _inputs(cfg)
    stages = _possible_stages(cfg, dataset)
    if first and dataset is not None and len(stages) < len(cfg.stages):
        log.warning("data: %s has no masks; masks are predicted but not scored", dataset.name)
    _refuse_unknown_sizes(cfg, dataset, stages)
    with _tracker(cfg, run_dir, origin, stages) if first else NullTracker() as tracker:
        plan = Plan(cfg, stages, dataset, texts, digests)
        leaks = distributed.from_rank_zero(find_leaks(cfg, plan, digests) if first else {})
        learnt = refuse_learnt_images(cfg, plan, run_dir, scored_later)
        refuse_leaky_training(cfg, plan, leaks)
        remember(plan, learnt)
        if first:
            refuse_full_disk(plan)
        said = caution(plan, learnt) if first else ""
        supervised = supervision(plan, learnt, origin["choices"]) if first else {}
        if said:
            log.warning(said)
        if first:
            write_keys(run_dir, plan.keys_in_use())
        for line in plan.precision_lines() if first else ():
            log.info("%-12s %s", "precision", line)
        engine = Engine(plan, lambda: tracker.loggers, tracker.log, seed=cfg.seed)

        def work() -> Any:
            engine.run_all()
            if first:
                notes = leak_notes(cfg, leaks)
                return finish_run(
                    cfg, run_dir, origin, engine, dataset, texts, texts_tell, notes, said, supervised
                )
            return help_to_finish(cfg, engine, dataset, texts)

        finished = with_lost_records_again(work)
        if first:
            summary, results = finished
            tracker.summarise(summary, engine.artifacts, results)
            if not (origin["sweep"] and origin["sweep"]["shares_console"]):
                print_summary(summary, run_dir, started=origin["started"])
        distributed.barrier()


def _without_addresses(cfg: DictConfig) -> DictConfig:
    """A run downloads nothing, and addresses from the shell's variables may hold passwords."""
    with read_write(cfg):
        cfg.paths.proxy, cfg.paths.mirrors = None, {}
    return cfg


def _has_cuda() -> bool:
    import torch  # takes seconds, which other runs need not wait for

    return torch.cuda.is_available()


def _scored_later(cfg: DictConfig) -> Dataset | None:
    """The images that the numbers of a search are meant for, where they are there already."""
    if not searches(cfg):
        return None
    try:
        dataset: Dataset = build(cfg.data)
    except UserError:  # a later run says so
        return None
    return dataset


def _with_tuning(cfg: DictConfig) -> DictConfig:
    """A search works under its own configuration."""
    return tuning_config(cfg) if searches(cfg) else cfg


def _inputs(
    cfg: DictConfig, *, say_notes: bool = True
) -> tuple[Dataset | None, dict[str, tuple[str, ...]], str]:
    """The run's dataset, its texts, and what these give away of what each image truly shows."""
    scopes = {STAGES[name].scope for name in cfg.stages}
    if not scopes & {"samples", "images", "split", "dataset"}:
        return None, {}, ""
    dataset: Dataset = build(cfg.data)
    for note in dataset.notes if say_notes and distributed.rank() == 0 else ():
        log.warning("data: %s", note)
    if not scopes & {"samples", "split"}:
        return dataset, {}, ""
    source = build(cfg.text)
    tells = getattr(source, "tells", "") if dataset.classes_are_true else ""
    return dataset, source.bind(dataset.samples), tells


def _possible_stages(cfg: DictConfig, dataset: Dataset | None) -> list[str]:
    """The stages asked for, without those that only judge results where there is no ground truth."""
    stages = list(cfg.stages)
    if dataset is None or dataset.has_ground_truth:
        return stages
    stages = [name for name in stages if not STAGES[name].judges]
    rows = {name: stage_row(cfg, name) for name in stages}
    needing = [name for name, row in rows.items() if row.ground_truth and not row.auxiliary]
    if needing:
        raise UserError(f"{needing[0]} needs true masks, but {dataset.name} has none; give data with masks")
    return stages


def _refuse_unknown_sizes(cfg: DictConfig, dataset: Dataset | None, stages: list[str]) -> None:
    """Before anything is computed, since scores come last."""
    if dataset is None or not readers(stages, "metrics") or cfg.metrics.get("tolerance_unit") != "mm":
        return
    unknown = [sample.id for sample in dataset.samples if dataset.pixel_spacing_mm(sample.id) is None]
    if unknown:
        raise UserError(
            f"metrics.tolerance_unit=mm, but the size of a pixel is unknown for {len(unknown)} of "
            f"{len(dataset.samples)} images (first: {unknown[0]}): give it in data.spacing_mm, or use "
            "metrics.tolerance_unit=px"
        )


def _tracker(cfg: DictConfig, run_dir: Path, origin: Mapping[str, Any], stages: list[str]) -> Any:
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    sweep = SweepJob(**origin["sweep"]) if origin.get("sweep") else None
    tracked = TrackedRun(
        folder=run_dir,
        name=cfg.name,
        config=config,  # type: ignore[arg-type]  # top-level keys are strings
        choices=origin["choices"],
        stages=tuple(stages),
        command=origin["command"],
        sweep=sweep,
    )
    return build(cfg.logger)(run=tracked)
