"""Checkpoints as trainers and wrappers leave them, for one network of each kind: all go the way of one reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import read_state_dict
from medsam_exp.training.sam_training import SamTrainingModule
from tests.sam.small_networks import small_model

KINDS = [
    "vit_b",
    "sam_med2d",
    "mobile_sam",
    "lite_medsam",
    "sam2_tiny",
    "sam_hq_b",
    "edgetam",
    "sam3_tracker",
]
State = dict[str, torch.Tensor]


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: value for name, value in state.items()}


TABLES: dict[str, Callable[[State], Any]] = {
    "DistributedDataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "a compiled encoder": lambda state: {
        name.replace("image_encoder.", "image_encoder._orig_mod.", 1): value for name, value in state.items()
    },
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "micro-sam": lambda state: {
        "model_state": prefixed("module.sam.")(state),
        "decoder_state": {"out_conv.weight": torch.zeros(1)},
    },
    "DeepSpeed": lambda state: {"module": prefixed("module.")(state), "global_steps": 7},
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_reader_for_all(kind: str, tmp_path: Path) -> None:
    model = small_model(kind)
    expected = model.network.state_dict()
    lightning = SamTrainingModule(model, torch.optim.SGD, no_schedule).state_dict()
    tables = {name: table(expected) for name, table in TABLES.items()}
    tables["Lightning"] = {"state_dict": lightning, "optimizer_states": [{}], "epoch": 1}
    for name, content in tables.items():
        torch.save(content, tmp_path / name)
    for suffix in ("pth", "bin", "pt", "safetensors"):
        whole = {name: value.clone(memory_format=torch.contiguous_format) for name, value in expected.items()}
        save_file(whole, tmp_path / f"safetensors.{suffix}")
    written = sorted(tmp_path.iterdir())
    assert len(written) == len(tables) + 4
    for path in written:
        read = FAMILIES[kind].names(read_state_dict(path), model.network)
        assert read.keys() == expected.keys(), path.name
        assert all(torch.equal(read[key], value) for key, value in expected.items()), path.name


def no_schedule(optimizer: torch.optim.Optimizer, total_steps: int) -> None: ...
