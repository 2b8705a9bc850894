"""What every pruner promises, over all YAMLs of conf/pruner."""

import optuna
import pytest
from optuna.pruners import BasePruner

from medsam_exp.config.build import build
from medsam_exp.training.pruner.rungs import Pruner
from medsam_exp.types import UserError
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "pruner").glob("*.yaml"))
NUMBERS = [
    (choice, key) for choice in CHOICES for key in composed(f"pruner={choice}").pruner if key != "_target_"
]


@pytest.fixture(scope="module", params=CHOICES)
def pruner(request: pytest.FixtureRequest) -> Pruner:
    return build(composed(f"pruner={request.param}").pruner)


@pytest.mark.parametrize("images", [1, 2, 3, 7, 8, 9, 60, 1000])
def test_rungs_grow_and_end_with_all_images(pruner: Pruner, images: int) -> None:
    rungs = pruner.rungs(images)
    assert rungs[-1] == images
    assert rungs == sorted(set(rungs))
    assert rungs[0] >= 1


def test_what_was_reported_once_is_reported_the_same_later(pruner: Pruner) -> None:
    """A trial that was taken over tells what it had told already."""
    scores = [0.1, 0.7, 0.4, 0.9, 0.2, 0.3, 0.8, 0.6, 0.5, 0.4]
    before, after = pruner.reports(scores[:8]), pruner.reports(scores)
    assert {step: after.get(step, value) for step, value in before.items()} == dict(before)
    assert all(isinstance(step, int) and isinstance(value, float) for step, value in after.items())


def score_of(pruner: Pruner, study: optuna.Study, scores: list[float]) -> int:
    """Images that a trial with these scores is scored on."""
    trial = study.ask()
    told: set[int] = set()
    for count in pruner.rungs(len(scores)):
        for step, value in pruner.reports(scores[:count]).items():
            if step not in told:
                trial.report(value, step)
                told.add(step)
        if count < len(scores) and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return count
    study.tell(trial, sum(scores) / len(scores))
    return len(scores)


@pytest.mark.parametrize("maximize", [True, False])
def test_a_first_or_better_trial_is_never_stopped_and_a_hopeless_one_is(
    pruner: Pruner, maximize: bool
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if maximize else "minimize", pruner=pruner.rule())
    sign = 1 if maximize else -1
    for trial in range(8):
        better = [sign * (0.5 + 0.02 * trial + 0.01 * (image % 5)) for image in range(32)]
        assert score_of(pruner, study, better) == 32
    hopeless = score_of(pruner, study, [sign * (0.01 * (image % 3)) for image in range(32)])
    assert (hopeless == 32) == isinstance(pruner.rule(), optuna.pruners.NopPruner)
    assert isinstance(pruner.rule(), BasePruner)


@pytest.mark.parametrize(("choice", "key"), NUMBERS)
def test_a_number_out_of_range_is_refused(choice: str, key: str) -> None:
    with pytest.raises(UserError, match=key):
        build(composed(f"pruner={choice}").pruner, **{key: 0})
