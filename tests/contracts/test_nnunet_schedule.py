"""Every choice of conf/nnunet_schedule: a positive rate for each epoch, the same each time, and none beyond the end."""

import math

import pytest
from omegaconf import OmegaConf

from medsam_exp.config.build import build
from medsam_exp.config.signatures import signature_problems
from medsam_exp.types import UserError
from tests.compose import CONF

CHOICES = sorted(path.stem for path in (CONF / "nnunet_schedule").glob("*.yaml"))
LENGTHS = [(1, 1), (7, 1), (60, 1), (4, 4), (60, 3), (600, 3)]


@pytest.fixture(params=CHOICES)
def node(request: pytest.FixtureRequest):
    return OmegaConf.load(CONF / "nnunet_schedule" / f"{request.param}.yaml")


def _rates(schedule, epochs: int, cycles: int, initial_rate: float) -> list[float]:
    return [schedule(epoch, epochs, cycles, initial_rate) for epoch in range(epochs)]


def test_the_yaml_fits_the_signature(node) -> None:
    assert list(signature_problems(OmegaConf.create({"nnunet_schedule": node}))) == []


@pytest.mark.parametrize(("epochs", "cycles"), LENGTHS)
@pytest.mark.parametrize("initial_rate", [0.01, 3e-4])
def test_every_epoch_has_a_positive_rate(node, epochs: int, cycles: int, initial_rate: float) -> None:
    schedule = build(node)
    if cycles > 1 and "Cyclic" not in node._target_:
        with pytest.raises(UserError, match="cycles"):
            schedule(0, epochs, cycles, initial_rate)
        return
    rates = _rates(schedule, epochs, cycles, initial_rate)
    assert all(isinstance(rate, float) and math.isfinite(rate) and rate > 0 for rate in rates)
    assert rates == _rates(build(node), epochs, cycles, initial_rate)


@pytest.mark.parametrize(("epochs", "cycles"), LENGTHS)
def test_the_rate_never_rises_within_a_cycle(node, epochs: int, cycles: int) -> None:
    if cycles > 1 and "Cyclic" not in node._target_:
        pytest.skip("one cycle only")
    rates, length = _rates(build(node), epochs, cycles, 0.01), epochs // cycles
    for start in range(0, epochs, length):
        cycle = rates[start : start + length]
        assert cycle == sorted(cycle, reverse=True)


@pytest.mark.parametrize("epoch", [-1, 60, 61, 1000])
def test_there_is_no_rate_beyond_the_training(node, epoch: int) -> None:
    with pytest.raises(ValueError, match=f"epoch {epoch} is asked for"):
        build(node)(epoch, 60, 1, 0.01)


def test_unequal_cycles_are_refused(node) -> None:
    with pytest.raises(UserError, match="cannot be cut into 7 equal cycles"):
        build(node)(0, 60, 7, 0.01)
