"""Two processes that share a batch take the step that one takes with all of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.runtime import distributed
from medsam_exp.training.nnunet_data import SeededBatches
from medsam_exp.types import UserError
from tests.nnunet_toy import Toy

ROOT = Path(__file__).resolve().parents[2]


def gradients(parts: TrainingParts, batch: Any, loss: Any) -> tuple[float, dict[str, Any]]:
    parts.network.zero_grad()
    value = loss(parts.network(batch.image), batch.target)
    value.backward()
    return float(value), {name: weight.grad for name, weight in parts.network.named_parameters()}


def assert_close(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    largest = max(float(value.abs().max()) for value in wanted.values() if value is not None)
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, atol=1e-5 * largest), name


def test_a_shared_batch_gives_the_gradients_of_the_whole(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dice is that of the whole batch, so the mean of two halves' losses would be something else.

    What differs: nnU-Net gives the coarsest output the weight 1e-6 instead of 0 where several processes train,
    because every parameter must then have a gradient.
    """
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper

    own = toy.elsewhere(tmp_path)
    parts = own.parts()
    batch = SeededBatches(parts.batches()["train"], 0, "train", 1)[0, 0]
    torch.save([batch.image, *batch.target], tmp_path / "batch.pt")
    monkeypatch.chdir(ROOT)
    arguments = [str(path) for path in (own.root, own.plans, tmp_path / "batch.pt", tmp_path / "out.pt")]
    assert distributed.launch("tests.nnunet_step", arguments, 2) == 0
    shared = torch.load(tmp_path / "out.pt", weights_only=True)
    assert shared["batch"] == len(batch.image) / 2

    weights = np.array([1 / 2**place for place in range(len(batch.target))])
    weights[-1] = 1e-6
    whole, wanted = gradients(parts, batch, DeepSupervisionWrapper(parts.loss.loss, weights / weights.sum()))
    assert np.mean(shared["losses"]) == pytest.approx(whole, abs=1e-5)
    assert_close(shared["gradients"], wanted)

    plain, wanted = gradients(parts, batch, parts.loss)
    assert plain == pytest.approx(whole, abs=1e-5)
    coarsest = [name for name, value in wanted.items() if value is None]
    assert coarsest == ["decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"]
    assert_close(shared["gradients"], {name: value for name, value in wanted.items() if name not in coarsest})


def test_a_batch_that_cannot_be_shared_equally_is_refused(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nnU-Net would gather shares of 2, 1 and 1 images for the Dice of the whole, and hang or fail."""
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(UserError, match=r"A batch of 4 cannot be shared equally .* nnunet.batch_size=3 or 6"):
        toy.elsewhere(tmp_path).parts()
