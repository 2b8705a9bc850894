"""Batches of nnU-Net's depend on seed, epoch and number, and on nothing else."""

import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medsam_exp.nnunet.training import Batch
from medsam_exp.training.nnunet_data import NnunetDataModule, SeededBatches
from tests.nnunet_toy import Toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sources(toy: Toy) -> dict[str, Any]:
    return toy.parts().batches()


def equal(left: Batch, right: Batch) -> bool:
    return torch.equal(left.image, right.image) and all(map(torch.equal, left.target, right.target))


def test_a_batch_does_not_depend_on_those_before_it(sources: dict[str, Any]) -> None:
    batches = SeededBatches(sources["train"], 0, "train", 3)
    forwards = [batches[0, number] for number in range(3)]
    backwards = [batches[0, number] for number in (2, 1, 0)][::-1]
    assert all(map(equal, forwards, backwards))


def test_seed_epoch_number_and_use_each_give_another_batch(sources: dict[str, Any]) -> None:
    def batch(seed: int = 0, use: str = "train", epoch: int = 0, number: int = 0) -> Batch:
        return SeededBatches(sources["train"], seed, use, 3)[epoch, number]

    others = [batch(seed=1), batch(use="validation"), batch(epoch=1), batch(number=1)]
    assert equal(batch(), batch())
    assert not any(equal(batch(), other) for other in others)


def test_the_global_generators_are_as_before(sources: dict[str, Any]) -> None:
    def states() -> list[Any]:
        return [random.getstate(), pickle.dumps(np.random.get_state()), torch.random.get_rng_state().tolist()]  # noqa: NPY002

    before = states()
    SeededBatches(sources["train"], 0, "train", 1)[0, 0]
    assert states() == before


@pytest.mark.parametrize("use", ["train", "validation"])
def test_the_number_of_loading_processes_does_not_matter(sources: dict[str, Any], use: str) -> None:
    found = []
    for workers in (0, 2):
        data = NnunetDataModule(sources, 5, 2, seed=0, workers=workers)
        loader = data.train_dataloader() if use == "train" else data.val_dataloader()
        found.append(list(loader))
    assert len(found[0]) == len(found[1]) == {"train": 5, "validation": 2}[use]
    assert all(map(equal, *found))


def benchmarking(transform: Any) -> list[Any]:
    """Every transform below one, however nested, that can choose an algorithm by timing it."""
    found, seen, todo = [], set(), [transform]
    while todo:
        part = todo.pop()
        if id(part) in seen or not (type(part).__module__ or "").startswith("batchgeneratorsv2"):
            continue
        seen.add(id(part))
        if "benchmark" in vars(part):
            found.append(part)
        for value in vars(part).values():
            todo.extend(value if isinstance(value, list | tuple) else [value])
    return found


def test_no_transform_chooses_its_algorithm_by_the_clock(sources: dict[str, Any], toy: Toy) -> None:
    """nnU-Net's blur times two convolutions and takes the faster: their last digits differ."""
    found = benchmarking(sources["train"].transforms)
    assert found, "nnU-Net's augmentation no longer has such a transform: the mend can go"
    assert not any(transform.benchmark for transform in found)


def test_a_fresh_process_draws_the_same_batch(sources: dict[str, Any], toy: Toy, tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path; from tests.nnunet_toy import Toy;"
        "from medsam_exp.training.nnunet_data import SeededBatches;"
        "source = Toy(Path(sys.argv[1]), Path(sys.argv[2]), ()).parts().batches()['train'];"
        "drawn = [SeededBatches(source, 0, 'train', 4)[1, number] for number in (3, 2, 1)];"
        "torch.save([[batch.image, *batch.target] for batch in drawn], sys.argv[3])"
    )
    file = tmp_path / "drawn.pt"
    subprocess.run(
        [sys.executable, "-c", code, str(toy.root), str(toy.plans), str(file)], cwd=ROOT, check=True
    )
    batches = SeededBatches(sources["train"], 0, "train", 4)
    for number, (image, *target) in zip((3, 2, 1), torch.load(file, weights_only=True), strict=True):
        assert equal(batches[1, number], Batch(image, target))
