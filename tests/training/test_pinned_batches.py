"""Batches of our own classes reach page-locked memory, as those of plain tensors do."""

from collections.abc import Sequence
from dataclasses import fields

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from medsam_exp.training.prediction import batch_loader
from medsam_exp.training.sam_data import MaskPromptBatch
from medsam_exp.types import PairBatch


@pytest.mark.parametrize("kind", [PairBatch, MaskPromptBatch])
def test_a_loader_pins_every_field(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.Tensor, "pin_memory", lambda tensor: tensor + 100
    )  # needs no GPU, and can be seen
    batch = kind(*(torch.arange(3) + number for number, _ in enumerate(fields(kind))))
    pinned = pin_memory(batch)
    assert isinstance(pinned, kind)
    for number, field in enumerate(fields(kind)):
        assert torch.equal(getattr(pinned, field.name), torch.arange(3) + number + 100)
        assert torch.equal(getattr(batch, field.name), torch.arange(3) + number)


def test_what_is_read_ahead_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 100)

    def load(items: Sequence[int]) -> PairBatch:
        return PairBatch(torch.tensor(items), torch.tensor(items))

    loader = batch_loader([1, 2, 3], load, batch_size=2, threads=1, pinned=True)
    assert [batch.image.tolist() for batch in loader] == [[101, 102], [103]]


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [PairBatch, MaskPromptBatch])
def test_pinned_for_real(kind: type) -> None:
    pinned = kind(*(torch.zeros(2) for _ in fields(kind))).pin_memory()
    assert all(getattr(pinned, field.name).is_pinned() for field in fields(kind))
