"""Stage: search a method's numbers, with the masks of a split that is never scored, or without masks."""

import dataclasses
from typing import Any

import numpy as np

from medsam_exp.data.patients import patients_of_samples
from medsam_exp.metrics.clusters import picked
from medsam_exp.runtime import distributed
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.stages.context import StageContext
from medsam_exp.training.search.space import Value, parse_space
from medsam_exp.types import UserError

_STUDY_FILE = "study.db"


def run(context: StageContext) -> None:
    """Write the table of trials and the best of them.

    Process 0 asks the study, and all processes work on the trial that it names. A trial that fails is recorded and
    the search goes on; with several processes it ends the job, because the others would wait for ever. The same
    command, started again while this one runs, works on the same study.

    Raises:
        UserError: every trial failed, or Optuna is not installed.
    """
    from medsam_exp.training.search.study import Search

    settings = context.build("search")
    if distributed.rank() > 0:
        while (asked := distributed.from_rank_zero(None)) is not None:
            context.trial(*asked)
        return
    ids = [sample.id for sample in context.dataset.samples]
    # Drawn by lot, so that the first images of every trial stand for all.
    order = tuple(sorted(ids, key=lambda name: derive_seed(context.seed, name, "tune")))
    search = Search(
        parse_space(settings["space"]),
        settings["sampler"],
        maximize=settings["direction"] == "maximize",
        trials=settings["trials"],
        timeout=settings["timeout"],
        seed=context.seed,
        images=len(order),
        pruner=context.build("pruner"),
        clusters=picked(patients_of_samples(context.dataset), order),
    )

    def evaluate(values: dict[str, Value], count: int) -> list[float]:
        first = order[:count]
        found = context.trial(*distributed.from_rank_zero((values, first)))
        stage, _, measure = settings["metric"].partition("/")
        scores = [found[name][stage][measure] for name in first]
        if count == len(order):
            context.log({f"tune/{settings['metric']}": float(np.mean(scores))})
        return scores

    file = context.artifacts.folder / _STUDY_FILE
    trials = search.run(file, evaluate, survive=distributed.world_size() == 1)
    distributed.from_rank_zero(None)
    best = search.best(trials)
    if best is None:
        raise UserError(
            f"every trial failed; the first one: {trials[0].error if trials else 'none was begun'}"
        )
    record: dict[str, Any] = {
        "data": context.dataset.name,
        "split": settings["data"]["split"],
        "images": len(ids),
        "metric": settings["metric"],
        "sampler": settings["sampler"],
        "best": dataclasses.asdict(best),
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }
    context.save("all", record)
