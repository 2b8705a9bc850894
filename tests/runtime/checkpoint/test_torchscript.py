"""OpenAI's archives are read without their code, into the weights that torch.jit itself would give."""

import io
import pickle
import zipfile
from pathlib import Path

import open_clip
import pytest
import torch

from medsam_exp.clip.weights import put_weights
from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.runtime.checkpoint.torchscript import is_torchscript
from medsam_exp.types import UserError

CFG = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2},
    "text_cfg": {"context_length": 12, "vocab_size": 100, "width": 64, "heads": 1, "layers": 2},
}


pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP in half precision, compiled and saved as OpenAI did, with a number that it keeps as a tensor."""
    network = open_clip.CLIP(**CFG).eval()
    network.register_buffer("input_resolution", torch.tensor(7))
    compiled = torch.jit.trace(
        network, (torch.zeros(1, 3, 32, 32), torch.zeros(1, 12, dtype=torch.long)), strict=False
    ).half()
    path = tmp_path_factory.mktemp("jit") / "ViT.pt"
    torch.jit.save(compiled, str(path))
    return path


def test_the_weights_are_those_that_torch_jit_gives(archive: Path) -> None:
    assert is_torchscript(archive)
    found = read_weights(archive)
    expected = torch.jit.load(str(archive)).state_dict()
    names = set(expected) - {"input_resolution", "attn_mask"}
    assert set(found) == names
    assert all(torch.equal(found[name], expected[name]) for name in names)
    assert {value.dtype for value in found.values()} == {torch.float16}
    network = open_clip.CLIP(**CFG)
    put_weights(network, found, archive, "small")
    assert torch.equal(network.visual.proj, expected["visual.proj"].float())


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("text")
    assert not is_torchscript(tmp_path / "state.pt")
    assert not is_torchscript(tmp_path / "text.pt")


class Malice:
    def __reduce__(self):
        return Path.mkdir, (Path("malice_was_here"),)


def test_an_archive_that_asks_for_code_is_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = io.BytesIO()
    pickle.dump({"weight": Malice()}, data)
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(tmp_path / "bad.pt", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, data.getvalue() if name.endswith("/data.pkl") else good.read(name))
    with pytest.raises(UserError, match=r"bad.pt asks for \S+, which was not run"):
        read_weights(tmp_path / "bad.pt")
    assert not (tmp_path / "malice_was_here").exists()


def test_a_damaged_archive_is_one_sentence(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(tmp_path / "bad.pt", "w") as bad:
        for name in good.namelist():
            if "/data/" not in name:
                bad.writestr(name, good.read(name))
    with pytest.raises(UserError, match="cannot be read; is the file complete"):
        read_weights(tmp_path / "bad.pt")
