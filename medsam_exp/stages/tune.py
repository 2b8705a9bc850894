"""Stage: search a method's numbers with the masks of a split that is never scored."""

import dataclasses
from typing import Any

from medsam_exp import distributed
from medsam_exp.metrics.summary import summarise
from medsam_exp.search.space import Value, parse_space
from medsam_exp.search.study import Score, Search
from medsam_exp.stages.context import StageContext
from medsam_exp.types import UserError

STUDY_FILE = "study.db"


def run(context: StageContext) -> None:
    """Write the table of trials and the best of them.

    Process 0 asks the study, and all processes work on the trial that it names. A trial that fails is recorded and
    the search goes on; with several processes it ends the job, because the others would wait for ever.

    Raises:
        UserError: every trial failed.
    """
    settings = context.build("tune")
    if distributed.rank() > 0:
        while (values := distributed.from_rank_zero(None)) is not None:
            context.trial(values)
        return
    search = Search(
        parse_space(settings["space"]),
        settings["sampler"],
        maximize=settings["direction"] == "maximize",
        trials=settings["trials"],
        timeout=settings["timeout"],
        seed=context.seed,
    )

    def evaluate(values: dict[str, Value]) -> Score:
        scores = context.trial(distributed.from_rank_zero(values))
        stage, _, measure = settings["metric"].partition("/")
        score = summarise([scores[name][stage][measure] for name in sorted(scores)], context.seed)
        context.log({f"tune/{settings['metric']}": float(score["mean"])})  # type: ignore[arg-type]
        return score

    file = context.artifacts.folder / STUDY_FILE
    trials = search.run(file, evaluate, survive=distributed.world_size() == 1)
    distributed.from_rank_zero(None)
    best = search.best(trials)
    if best is None:
        file.unlink()  # nothing in it is worth keeping, and the same command shall try again
        raise UserError(
            f"every trial failed; the first one: {trials[0].error if trials else 'none was begun'}"
        )
    record: dict[str, Any] = {
        "data": context.dataset.name,
        "split": settings["data"]["split"],
        "images": len(context.dataset.samples),
        "metric": settings["metric"],
        "sampler": settings["sampler"],
        "best": dataclasses.asdict(best),
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }
    context.artifacts.save("all", record)
    context.advance(1)
