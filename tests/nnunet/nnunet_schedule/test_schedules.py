"""The schedules against nnU-Net's own code, the released code's numbers, and a plain transcription of the formula."""

import csv
from pathlib import Path

import pytest

from medsam_exp.nnunet.nnunet_schedule.cycles import cycle_length
from medsam_exp.nnunet.nnunet_schedule.cyclic_poly import CyclicPoly
from medsam_exp.nnunet.nnunet_schedule.cyclic_poly_released import CyclicPolyReleased
from medsam_exp.nnunet.nnunet_schedule.poly import Poly
from medsam_exp.types import UserError


def test_poly_is_nnunets_own() -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    import torch
    from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    reference = PolyLRScheduler(optimizer, 0.01, 50)
    for epoch in range(50):
        reference.step(epoch)
        assert Poly()(epoch, 50, 1, 0.01) == optimizer.param_groups[0]["lr"]


def test_the_released_schedule_equals_every_released_number(goldens: Path) -> None:
    with (goldens / "cyclic_poly_lr.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 820
    for row in rows:
        schedule = CyclicPolyReleased(gamma=float(row["gamma"]))
        rate = schedule(int(row["epoch"]), int(row["epochs"]), int(row["cycles"]), float(row["initial_lr"]))
        assert rate == pytest.approx(float(row["lr"]), abs=1e-15, rel=0)


def test_the_cyclic_schedule_is_its_formula_at_the_papers_setting() -> None:
    """600 epochs, 3 cycles, initial rate 0.01: written out with plain numbers."""
    for epoch in range(600):
        in_cycle = epoch - 200 * (epoch // 200)
        expected = 0.1 if in_cycle == 0 else 0.01 * ((600 - min(in_cycle, 160)) / 600) ** 0.9
        assert CyclicPoly()(epoch, 600, 3, 0.01) == pytest.approx(expected, rel=1e-14)


def test_the_cyclic_schedule_jumps_three_times_and_falls_to_three_quarters() -> None:
    rates = [CyclicPoly()(epoch, 600, 3, 0.01) for epoch in range(600)]
    assert [epoch for epoch, rate in enumerate(rates) if rate == 0.1] == [0, 200, 400]
    assert min(rates) == pytest.approx(0.007564, abs=1e-6)
    assert len(set(rates[160:200])) == 1
    assert rates[:200] == rates[200:400] == rates[400:]


def test_the_fall_may_end_between_two_epochs() -> None:
    """gamma 0.5 of 5 epochs is 2.5; the released code cuts it to 2."""
    assert CyclicPoly(gamma=0.5)(3, 10, 2, 0.01) == pytest.approx(0.01 * 0.75**0.9)
    assert CyclicPolyReleased(gamma=0.5)(3, 10, 2, 0.01) == pytest.approx(0.01 * 0.8**0.9)


def test_a_restart_at_the_initial_rate_starts_gently_as_released() -> None:
    gentle, released = CyclicPoly(restart_rate=0.01), CyclicPolyReleased()
    for epoch in range(600):
        assert gentle(epoch, 600, 3, 0.01) == pytest.approx(released(epoch, 600, 3, 0.01), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, -0.1, 1.01, float("nan")])
@pytest.mark.parametrize("schedule", [CyclicPoly, CyclicPolyReleased])
def test_a_gamma_that_is_no_share_is_refused(schedule: type, gamma: float) -> None:
    with pytest.raises(UserError, match="gamma is"):
        schedule(gamma=gamma)


@pytest.mark.parametrize(
    "make", [lambda: Poly(0), lambda: CyclicPoly(exponent=-1), lambda: CyclicPoly(restart_rate=0)]
)
def test_exponents_and_rates_are_above_0(make) -> None:
    with pytest.raises(UserError, match="above 0"):
        make()


def test_poly_has_one_cycle() -> None:
    with pytest.raises(UserError, match="cycles=3, but the schedule poly has one"):
        Poly()(0, 600, 3, 0.01)


@pytest.mark.parametrize(
    ("epochs", "cycles", "sentence"),
    [
        (601, 3, "epochs=601 cannot be cut into 3 equal cycles: use epochs=600 or 603, or cycles=1"),
        (100, 7, "use epochs=98 or 105, or cycles=5"),
        (2, 3, "use epochs=3, or cycles=2"),
        (0, 1, "epochs=0 and cycles=1, but both must be at least 1"),
        (10, 0, "epochs=10 and cycles=0, but both must be at least 1"),
    ],
)
def test_unequal_cycles_are_refused_with_numbers_that_would_do(
    epochs: int, cycles: int, sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        cycle_length(epochs, cycles)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("schedule", [Poly(), CyclicPoly(), CyclicPolyReleased()])
@pytest.mark.parametrize("epoch", [-1, 6])
def test_an_epoch_that_does_not_exist_is_refused(schedule, epoch: int) -> None:
    with pytest.raises(
        ValueError, match=f"epoch {epoch} is asked for, but a training of 6 has epochs 0 to 5"
    ):
        schedule(epoch, 6, 1, 0.01)
