from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from medsam_exp.clip.load import load_clip
from medsam_exp.types import UserError

Same = Callable[..., None]


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
    for i in range(5):
        state[f"extra.{i}"] = torch.zeros(1)
    del state["ln_final.bias"]
    state["visual.conv1.weight"] = torch.zeros(32, 3, 4, 4)
    save_file(state, path)
    with pytest.raises(UserError) as caught:
        load_clip(str(tiny_folder))
    message = str(caught.value)
    assert "missing: ln_final.bias;" in message
    assert "unexpected: extra.0, extra.1, extra.2 and 2 more;" in message
    assert "visual.conv1.weight (network (32, 3, 8, 8), file (32, 3, 4, 4))" in message


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_damaged_file(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02not weights at all")
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        load_clip(str(tiny_folder), str(tmp_path / name))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("evil"),)


def test_code_in_a_pickle_is_not_run(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, "bad.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load_clip(str(tiny_folder), "bad.pt")
    assert not Path("evil").exists()


def test_a_file_that_holds_something_else(tiny_folder: Path, tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match=r"list\.pt holds no table of weights"):
        load_clip(str(tiny_folder), str(tmp_path / "list.pt"))
