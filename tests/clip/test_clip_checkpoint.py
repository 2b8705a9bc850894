import json
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file, save_file

from medsam_exp.clip.load import load_clip
from medsam_exp.training.clip_finetune import ClipFinetuneModule
from medsam_exp.types import UserError

Embed = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Same = Callable[..., None]
State = dict[str, torch.Tensor]


def test_real_format_with_pickled_weights(bert_folder: Path, assert_same: Same) -> None:
    expected = load_clip(str(bert_folder))
    state = load_file(bert_folder / "open_clip_model.safetensors")
    (bert_folder / "open_clip_model.safetensors").unlink()
    state["text.transformer.embeddings.position_ids"] = torch.arange(512)[None]  # older transformers saved it
    torch.save(state, bert_folder / "open_clip_pytorch_model.bin")
    assert_same(load_clip(str(bert_folder)), expected)


def test_weights_that_do_not_fit(tiny_folder: Path) -> None:
    path = tiny_folder / "open_clip_model.safetensors"
    state = load_file(path)
    count = len(state)
    for i in range(7):
        state[f"extra.{i}"] = torch.zeros(1)
    del state["ln_final.bias"]
    state["visual.conv1.weight"] = torch.zeros(32, 3, 4, 4)
    save_file(state, path)
    with pytest.raises(UserError) as caught:
        load_clip(str(tiny_folder))
    first, *table = str(caught.value).split("\n")
    assert first == (
        f"the weights in {path} do not fit clip.model={tiny_folder} (1 missing, 7 unexpected, 1 of another shape, "
        f"of {count}); set clip.model to the network that they were trained with. In open_clip's names:"
    )
    assert table == [
        "  missing:",
        "    ln_final.bias",
        "  unexpected:",
        *(f"    extra.{i}" for i in range(5)),
        "    and 2 more",
        "  of another shape:",
        "    visual.conv1.weight  (32, 3, 4, 4), network (32, 3, 8, 8)",
    ]


def wrapped(prefix: str) -> Callable[[State], Any]:
    return lambda state: {prefix + name: value for name, value in state.items()}


WRITERS: dict[str, Callable[[State], Any]] = {
    "bare": wrapped(""),
    "DistributedDataParallel": wrapped("module."),
    "compiled and distributed": wrapped("module._orig_mod."),
    "attribute of a module": wrapped("model."),
    "under model": lambda state: {"model": state, "epoch": 3},
    "under model_state_dict": lambda state: {"model_state_dict": wrapped("module.")(state), "loss": 0.5},
    "open_clip": lambda state: {
        "epoch": 3,
        "name": "2024_11_21-model_BiomedCLIP",
        "state_dict": wrapped("module.")(state),
        "optimizer": {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-6}]},
    },
}


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_many_writers(
    tiny_folder: Path, tmp_path: Path, writer: str, embeddings: Embed, assert_same: Same
) -> None:
    state = load_file(tiny_folder / "open_clip_model.safetensors")
    torch.save(WRITERS[writer](state), tmp_path / "weights.pt")
    expected = load_clip(str(tiny_folder))
    assert_same(load_clip(str(tiny_folder), str(tmp_path / "weights.pt")), expected)
    random = load_clip(str(tiny_folder), "random")
    assert not torch.equal(embeddings(random)[1], embeddings(expected)[1])


def test_checkpoint_of_this_project_s_training(tiny_folder: Path, tmp_path: Path, assert_same: Same) -> None:
    clip = load_clip(str(tiny_folder))
    module = ClipFinetuneModule(clip, LearnedScale(), torch.optim.SGD, no_schedule, 0)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert "loss.scale" in stored
    assert "clip.network.logit_scale" in stored
    assert_same(load_clip(str(tiny_folder), str(tmp_path / "last.ckpt")), clip)


class LearnedScale(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))


def no_schedule(optimizer: torch.optim.Optimizer, total_steps: int) -> None: ...


TEXT_TOWER = ("positional_embedding", "text_projection", "transformer.", "token_embedding.", "ln_final.")
"""How the names of open_clip's own text tower begin where `text.` does not stand before them."""


def text_prefixed(state: State) -> State:
    return {f"text.{name}" if name.startswith(TEXT_TOWER) else name: value for name, value in state.items()}


@pytest.mark.parametrize("network_has", [False, True])
@pytest.mark.parametrize("file_has", [False, True])
def test_text_before_the_text_tower_s_names(
    tiny_folder: Path, tmp_path: Path, embeddings: Embed, network_has: bool, file_has: bool
) -> None:
    expected = embeddings(load_clip(str(tiny_folder)))
    state = load_file(tiny_folder / "open_clip_model.safetensors")
    assert text_prefixed(state) != state
    torch.save(text_prefixed(state) if file_has else state, tmp_path / "weights.pt")
    path = tiny_folder / "open_clip_config.json"
    description = json.loads(path.read_text())
    description["model_cfg"]["custom_text"] = network_has
    path.write_text(json.dumps(description))
    clip = load_clip(str(tiny_folder), str(tmp_path / "weights.pt"))
    assert hasattr(clip.network, "text") == network_has
    assert all(torch.equal(one, other) for one, other in zip(embeddings(clip), expected, strict=True))


def test_hugging_face_text_tower_without_text_before_it(
    bert_folder: Path, tmp_path: Path, assert_same: Same
) -> None:
    state = load_file(bert_folder / "open_clip_model.safetensors")
    save_file({k.removeprefix("text."): v for k, v in state.items()}, tmp_path / "bare.safetensors")
    assert_same(load_clip(str(bert_folder), str(tmp_path / "bare.safetensors")), load_clip(str(bert_folder)))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_damaged_file(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02not weights at all")
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        load_clip(str(tiny_folder), str(tmp_path / name))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def pickled(content: Any, path: Path, protocol: int) -> None:
    path.write_bytes(pickle.dumps(content, protocol))


PICKLERS: dict[str, Callable[[Any, Path], None]] = {
    "torch": torch.save,
    "torch of old": partial(torch.save, _use_new_zipfile_serialization=False),
    **{f"pickle {protocol}": partial(pickled, protocol=protocol) for protocol in range(2, 6)},
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("pickler", PICKLERS)
def test_code_in_a_pickle_is_not_run(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pickler: str
) -> None:
    monkeypatch.chdir(tmp_path)
    PICKLERS[pickler]({"state_dict": Evil()}, Path("bad.pt"))
    with pytest.raises(
        UserError, match=r"^bad\.pt holds code besides weights \(.*\), which was not run"
    ) as caught:
        load_clip(str(tiny_folder), "bad.pt")
    assert "\n" not in str(caught.value)
    assert not Path("evil").exists()
    torch.load("bad.pt", weights_only=False) if "torch" in pickler else pickle.loads(
        Path("bad.pt").read_bytes()
    )
    assert Path("evil").exists(), "the test's own file does what it should"


def test_damage_is_not_taken_for_code(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(load_file(tiny_folder / "open_clip_model.safetensors"), path)
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[: len(whole) // 2],
        b"version https://git-lfs\n",
        b"<!doctype html>",
        whole[:30],
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"weights\.pt cannot be read; is the file complete"):
            load_clip(str(tiny_folder), str(path))


def test_a_file_that_holds_something_else(tiny_folder: Path, tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match=r"list\.pt holds no table of weights"):
        load_clip(str(tiny_folder), str(tmp_path / "list.pt"))
