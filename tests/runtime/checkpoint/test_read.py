"""One reader for all networks: files of many writers hold the same weights, and nothing in them is run."""

import argparse
import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.types import UserError

State = dict[str, torch.Tensor]
WEIGHTS = {"visual.proj": torch.arange(3.0), "logit_scale": torch.ones(()), "ln_final.bias": torch.zeros(2)}


def behind(prefix: str) -> State:
    return {prefix + name: value for name, value in WEIGHTS.items()}


PREFIXES = [
    "", "module.", "_orig_mod.", "model.", "clip.", "clip_model.", "sam.", "network.", "net.", "base_model.model.",
    "module._orig_mod.", "_orig_mod.module.", "model.clip.", "clip.network.", "module.sam._orig_mod.",
]  # fmt: skip
CONTENTS: dict[str, Any] = {
    "DeepSpeed": {"module": behind("module."), "lr_scheduler": None, "global_steps": 3},
    "under model": {"model": behind("")},
    "under model_state_dict": {"model_state_dict": behind("module."), "loss": 0.5},
    "under net": {"net": behind("")},
    "under weights": {"weights": behind("")},
    "in a table in a table": {"model": {"state_dict": behind("")}},
    "numpy scalar": {"model": behind(""), "best": np.float64(0.5), "epoch": np.int64(3)},
    "numpy array": {"model": behind(""), "losses": np.arange(3.0)},
    "arguments": {"model": behind(""), "args": argparse.Namespace(lr=0.1, out=Path("out"))},
    "optimizer": {"model": behind(""), "optimizer": torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])},
    "defaultdict": {"model": behind(""), "log": defaultdict(list, loss=[1.0])},
    "beside numbers": {**behind("module."), "epoch": 3, "name": "a run"},
    "a criterion's weights": {"state_dict": {**behind("model."), "criterion.weight": torch.ones(2)}},
    "an average beside": {"state_dict": behind(""), "state_dict_ema": {k: v + 9 for k, v in WEIGHTS.items()}},
    "a teacher beside": {**behind("model."), **{f"teacher.{k}": v + 9 for k, v in WEIGHTS.items()}},
}


def assert_weights(found: State) -> None:
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], value) for name, value in WEIGHTS.items())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_wrappers_put_before_names_is_taken_away(prefix: str, tmp_path: Path) -> None:
    torch.save(behind(prefix), tmp_path / "w.pth")
    assert_weights(read_weights(tmp_path / "w.pth"))


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_trainers_keep_beside_weights_is_left(kind: str, tmp_path: Path) -> None:
    torch.save(CONTENTS[kind], tmp_path / "w.ckpt")
    assert_weights(read_weights(tmp_path / "w.ckpt"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("an average beside", "took the weights under 'state_dict', left those under state_dict_ema"),
        ("a criterion's weights", "took the 3 weights behind 'model.', left criterion.weight"),
        (
            "a teacher beside",
            "behind 'model.', left teacher.ln_final.bias, teacher.logit_scale, teacher.visual.proj",
        ),
    ],
)
def test_weights_that_are_left_aside_are_said(
    kind: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(CONTENTS[kind], tmp_path / "w.ckpt")
    with caplog.at_level(logging.INFO):
        read_weights(tmp_path / "w.ckpt", "clip.weights=w.ckpt")
    assert next(record.getMessage() for record in caplog.records).startswith("clip.weights=w.ckpt: took")
    assert said in caplog.text


def test_what_lies_among_a_networks_own_names_is_not_left(tmp_path: Path) -> None:
    for prefix in ("", "model."):
        strange = {f"{prefix}net.adapter": torch.ones(1), f"{prefix}surplus": torch.ones(1)}
        torch.save({**behind(prefix), **strange}, tmp_path / "w.pth")
        assert read_weights(tmp_path / "w.pth").keys() - WEIGHTS.keys() == {"net.adapter", "surplus"}


def test_an_average_alone_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"model_ema": behind("module."), "epoch": 3}, tmp_path / "w.pth")
    with caplog.at_level(logging.INFO):
        assert_weights(read_weights(tmp_path / "w.pth"))
    assert "took the weights under 'model_ema', a running average" in caplog.text


@pytest.mark.parametrize(
    "name", ["epoch=9-step=100.ckpt", "best (1) [a].pth", "w.bin", "w.pt", "w", "w.safetensors"]
)
def test_the_kind_of_a_file_is_seen_by_its_content(name: str, tmp_path: Path) -> None:
    for write in (safetensors.torch.save_file, torch.save):
        write(WEIGHTS, tmp_path / name)
        assert_weights(read_weights(tmp_path / name))


class Marker:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("code_ran"),)


@pytest.mark.parametrize("where", ["state_dict", "args"])
def test_code_is_not_run_wherever_it_stands(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": behind(""), where: argparse.Namespace(lr=Marker())}, "w.pth")
    with pytest.raises(UserError, match=r"^w\.pth holds code besides weights \(.*\), which was not run"):
        read_weights(Path("w.pth"))
    assert not Path("code_ran").exists()


def test_what_stands_in_for_arguments_keeps_nothing(tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(weight=torch.ones(1))}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no table of weights"):
        read_weights(tmp_path / "w.pth")


def test_a_table_within_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no table of weights"):
        read_weights(tmp_path / "w.pth")
