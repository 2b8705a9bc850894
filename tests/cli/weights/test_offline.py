"""Everything that is fetched is used with every socket refused: configuration, checks, keys, tokenizers, networks."""

import json
import shutil
import socket
from pathlib import Path

import httpx
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from medsam_exp.cli.weights.catalogue import find
from medsam_exp.clip.load import load_clip
from medsam_exp.config.build import build, keyed_values, weight_files
from medsam_exp.config.schema import check
from medsam_exp.sam.families import FAMILIES
from tests.command import command
from tests.compose import composed
from tests.sockets import refuse_sockets

doctor, weights = command("doctor"), command("weights")


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """And an empty folder of weights, returned."""
    refuse_sockets(monkeypatch)
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path / "weights"


def test_sockets_are_refused() -> None:
    with pytest.raises(AssertionError, match="a socket was opened"):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="a socket was opened"):
        httpx.get("http://127.0.0.1:9")


@pytest.mark.parametrize("choice", ["clip=tiny", "sam=tiny"])
def test_embedded_networks(choice: str) -> None:
    cfg = composed(choice)
    OmegaConf.resolve(cfg)
    node = cfg[choice.partition("=")[0]]
    assert weight_files(node)
    build(node)


def test_commands_that_only_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert weights(["list"]) == weights(["check"]) == weights(["where"]) == doctor(["--json", "demo"]) == 0


def test_a_folder_keeps_the_key_that_the_hub_gave(no_sockets: Path) -> None:
    """The same files are the same weights, wherever they lie."""
    before = composed("clip=biomedclip")
    OmegaConf.resolve(before)
    (no_sockets / "biomedclip").mkdir(parents=True)
    (no_sockets / "biomedclip" / "open_clip_config.json").touch()
    after = composed("clip=biomedclip")
    assert before.clip.model.startswith("hf-hub:")
    OmegaConf.resolve(after)
    assert after.clip.model == str(no_sockets / "biomedclip")
    assert keyed_values(before.clip, without_paths=True) == keyed_values(after.clip, without_paths=True)


def biomedclip_folder(name: str, weights: Path, shared: Path, *, stored: bool) -> None:
    """What `get` leaves: the published small files, and weights of the published size, drawn at random."""
    folder = weights / name
    folder.mkdir(parents=True)
    for file in find(name).files[1:]:
        shutil.copyfile(shared / "models" / "biomedclip_config" / file.name, folder / file.name)
    clip = load_clip(str(folder), "random", seed=1)
    if stored:
        torch.save(clip.network.state_dict(), folder / find(name).files[0].name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["biomedclip", "biomedclip_finetuned"])
def test_biomedclip_from_the_folder_that_get_fills(name: str, no_sockets: Path, shared: Path) -> None:
    biomedclip_folder(name, no_sockets, shared, stored=True)
    cfg = check(composed(f"clip={name}", "saliency=m2ib"))
    assert str(no_sockets) in cfg.clip.model
    files = {path.name for path in weight_files(cfg.clip)}
    assert files == {file.path.rpartition("/")[2] for file in find(name).files}
    clip = build(cfg.clip)
    assert clip.tokenize(["a malignant breast tumor"]).shape == (1, 256)
    with torch.no_grad():
        assert clip.encode_text(clip.tokenize(["a scan"])).shape == (1, 512)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family"), [("sam_vit_b", "vit_b"), ("medsam", "medsam")])
def test_sam_from_the_folder_that_get_fills(name: str, family: str, no_sockets: Path) -> None:
    no_sockets.mkdir()
    torch.save(FAMILIES[family].build().state_dict(), no_sockets / find(name).files[0].path)
    cfg = check(composed(f"sam={family}", "prompt=box"))
    assert weight_files(cfg.sam) == [no_sockets / find(name).files[0].path]
    build(cfg.sam)


def test_a_file_or_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """Neither a name nor a place of the catalogue is needed."""
    tiny = load_clip("tiny")
    save_file(
        {name: value.contiguous() for name, value in tiny.network.state_dict().items()},
        tmp_path / "mine.safetensors",
    )
    cfg = composed(f"clip.weights={tmp_path}/mine.safetensors")
    assert weight_files(cfg.clip)[-1] == tmp_path / "mine.safetensors"
    again = build(cfg.clip)
    state = tiny.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.network.state_dict().items())
    description = json.loads((weight_files(cfg.clip)[0]).read_text())
    assert "model_cfg" in description
