import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from medsam_exp.training.optimization import optimizer_and_schedule, parameter_groups, total_steps
from medsam_exp.training.schedules import step_decay, warmup_cosine
from medsam_exp.types import UserError


def network() -> nn.Module:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 4, 2)
            self.norm = nn.LayerNorm(4)
            self.words = nn.Embedding(5, 4)
            self.class_token = nn.Parameter(torch.zeros(4))
            self.logit_scale = nn.Parameter(torch.tensor(1.0))
            self.frozen = nn.Linear(4, 4).requires_grad_(False)

    return Network()


def test_only_trainable_matrices_decay() -> None:
    net = network()
    decayed, spared = parameter_groups([net])
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {"patches.weight", "words.weight"}
    assert {names[id(p)] for p in spared["params"]} == {
        "patches.bias",
        "norm.weight",
        "norm.bias",
        "class_token",
        "logit_scale",
    }


def test_optimizer_decays_only_the_first_group() -> None:
    net = network()
    built = optimizer_and_schedule(
        trainer(max_steps=10),
        [net],
        partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5),
        partial(warmup_cosine, warmup_fraction=0.0, final_fraction=0.0),
    )
    optimizer = built["optimizer"]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = dict(net.named_parameters())
    assert torch.allclose(after["patches.weight"], before["patches.weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(after["norm.weight"], before["norm.weight"])
    assert built["lr_scheduler"]["interval"] == "step"


def trainer(**options) -> SimpleNamespace:
    datamodule = SimpleNamespace(batches_per_epoch=7)
    default = {"max_steps": -1, "max_epochs": -1, "accumulate_grad_batches": 1, "datamodule": datamodule}
    return SimpleNamespace(**default | options)


def test_steps_are_counted_as_lightning_takes_them() -> None:
    assert total_steps(trainer(max_epochs=3)) == 21
    assert total_steps(trainer(max_epochs=3, accumulate_grad_batches=2)) == 12
    assert total_steps(trainer(max_epochs=3, max_steps=20)) == 20
    assert total_steps(trainer(max_epochs=None, max_steps=99)) == 99
    with pytest.raises(UserError, match="no end"):
        total_steps(trainer())


def rates(total: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, total, **options)
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def test_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    seen = rates(100, warmup_fraction=0.1, final_fraction=0.1)
    assert seen[:10] == pytest.approx([2 * (step + 1) / 11 for step in range(10)])
    assert max(seen) == seen[10] == 2.0
    assert seen[55] == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert seen[100] == pytest.approx(0.2)
    expected = [2 * (0.1 + 0.9 * math.cos(math.pi * (step - 10) / 180) ** 2) for step in range(10, 101)]
    assert seen[10:] == pytest.approx(expected)


def decayed(total: int, factor: float, times: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = step_decay(optimizer, total, factor, times)
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def test_rate_is_halved_at_equal_distances() -> None:
    assert decayed(8, 0.5, 3) == [2, 2, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert decayed(5, 0.1, 1) == pytest.approx([2, 2, 2, 0.2, 0.2, 0.2])
    assert decayed(3, 0.5, 0) == [2, 2, 2, 2]
    with pytest.raises(UserError, match=r"scheduler\.factor"):
        decayed(3, 0.0, 1)
    with pytest.raises(UserError, match=r"scheduler\.times"):
        decayed(3, 0.5, -1)


def test_shortest_training_and_no_warmup() -> None:
    assert rates(1, warmup_fraction=0.0, final_fraction=0.0) == pytest.approx([2.0, 0.0])
    assert rates(1, warmup_fraction=0.9, final_fraction=0.0)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("options", [(1.0, 0.0), (-0.1, 0.0), (0.1, 1.5)])
def test_impossible_fractions_are_clear_errors(options: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="scheduler"):
        rates(10, warmup_fraction=options[0], final_fraction=options[1])
