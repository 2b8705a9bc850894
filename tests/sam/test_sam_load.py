import os
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from medsam_exp.sam import weight_files as module
from medsam_exp.sam.framing import PIXEL_MEAN, PIXEL_STD
from medsam_exp.sam.load import load_sam, save_sam
from medsam_exp.sam.weight_files import weight_files
from medsam_exp.types import UserError


@pytest.fixture(scope="module")
def tiny():
    return load_sam("tiny", "random")


@pytest.fixture
def tiny_pth(tiny, tmp_path: Path) -> Path:
    torch.save(tiny.state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def assert_same_weights(a: torch.nn.Module, b: torch.nn.Module) -> None:
    expected = b.state_dict()
    assert list(a.state_dict()) == list(expected)
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_metas_pth_is_loaded_whole(tiny, tiny_pth: Path) -> None:
    loaded = load_sam("tiny", str(tiny_pth))
    assert_same_weights(loaded, tiny)
    assert not loaded.training
    assert not any(tensor.is_meta for tensor in loaded.state_dict().values())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    box = torch.tensor([[9.0, 9, 99, 99]])
    images = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        ours, theirs = (net.decode_low_res(net.encode(images), box)[0] for net in (loaded, tiny))
    assert torch.equal(ours, theirs)


def test_what_is_saved_is_float16_safetensors_and_comes_back_as_float32(tiny, tmp_path: Path) -> None:
    path = tmp_path / "new" / "sam.safetensors"
    save_sam(tiny, path)
    assert {t.dtype for t in safetensors.torch.load_file(path).values()} == {torch.float16}
    assert [p.name for p in path.parent.iterdir()] == ["sam.safetensors"]
    loaded = load_sam("tiny", str(path))
    assert {t.dtype for t in loaded.state_dict().values()} == {torch.float32}
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, tiny.state_dict()[name], rtol=1e-3, atol=1e-4)
    save_sam(tiny, path, torch.float32)
    assert_same_weights(load_sam("tiny", str(path)), tiny)


def test_random_weights_follow_the_seed_alone(tiny) -> None:
    before = torch.random.get_rng_state()
    again = load_sam("tiny", "random", seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_same_weights(again, tiny)
    other = load_sam("tiny", "random", seed=1)
    name = "image_encoder.patch_embed.proj.weight"
    assert not torch.equal(other.state_dict()[name], tiny.state_dict()[name])


def test_loading_draws_no_random_numbers(tiny_pth: Path) -> None:
    before = torch.random.get_rng_state()
    load_sam("tiny", str(tiny_pth))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weight_files_name_what_decides_the_weights(tiny_pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TINY_WEIGHTS", tiny_pth)
    assert weight_files("tiny", str(tiny_pth)) == [tiny_pth]
    assert weight_files("tiny", None) == [tiny_pth]
    assert weight_files("tiny", "random", seed=3) == []


def test_no_checkpoint_means_the_packaged_one(tiny, tiny_pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TINY_WEIGHTS", tiny_pth)
    assert_same_weights(load_sam("tiny"), tiny)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("vit_b", "dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth"),
        ("vit_l", "dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth"),
        ("vit_h", "dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth"),
        ("medsam", "medsam_vit_b.pth from where https://github.com/bowang-lab/MedSAM points"),
        ("sam_med2d", "sam-med2d_b.pth from where https://github.com/OpenGVLab/SAM-Med2D points"),
    ],
)
@pytest.mark.parametrize("function", [load_sam, weight_files])
def test_a_missing_file_says_where_to_get_it(function, architecture: str, name: str, tmp_path: Path) -> None:
    expected = rf"sam\.checkpoint=.*none\.pth is not a file.*{re.escape(name)}"
    with pytest.raises(UserError, match=expected):
        function(architecture, str(tmp_path / "none.pth"))
    with pytest.raises(UserError, match=rf"sam\.checkpoint is not set.*{re.escape(name)}"):
        function(architecture, None)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"sam\.architecture=vit_x does not exist; there are edgetam, .*, vit_h\.$"
    ):
        load_sam("vit_x", "random")


def test_another_architecture_is_recognised(tmp_path: Path, tiny_pth: Path) -> None:
    with pytest.raises(UserError, match=r"does not fit vit_b .*; this looks like tiny, so choose sam=tiny"):
        load_sam("vit_b", str(tiny_pth))


@pytest.mark.parametrize(
    ("chosen", "file", "named"),
    [
        ("vit_b", "medsam_vit_b.pth", "medsam"),
        ("medsam", "sam_vit_b_01ec64.pth", "vit_b"),
        ("sam_med2d", "medsam_vit_b.pth", "medsam"),
        ("vit_b", "sam-med2d_b.pth", "sam_med2d"),
        ("medsam", "vit_b_medicosam.pt", "medicosam"),
        ("vit_h", "sam_vit_l_0b3195.pth", "vit_l"),
    ],
)
def test_another_architectures_published_name_is_recognised_without_reading(
    chosen: str, file: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / file).touch()
    expected = rf"^sam\.checkpoint=\S+ has the name .* of {named}, not {chosen}: choose sam={named}[^\n]*$"
    with pytest.raises(UserError, match=expected):
        weight_files(chosen, str(tmp_path / file))


def test_a_trainings_checkpoint_is_read_without_its_optimizer(tiny, tmp_path: Path) -> None:
    """SAM-Med2D's training saves {'model': state dict, 'optimizer': the Adam object itself}."""
    optimizer = torch.optim.Adam(tiny.parameters())
    tiny.decode_low_res(torch.randn(1, 128, 16, 16), torch.tensor([[9.0, 9, 99, 99]]))[0].sum().backward()
    optimizer.step()
    tiny.zero_grad()
    path = tmp_path / "trained.pth"
    torch.save({"model": tiny.state_dict(), "optimizer": optimizer}, path)
    patched = torch.optim.Adam.step
    assert_same_weights(load_sam("tiny", str(path)), tiny)
    assert torch.optim.Adam.step is patched


def wrapped(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("model", "module."),
        ("state_dict", "model."),
        ("model_state_dict", ""),
        ("module", "_orig_mod."),
        ("net", "sam."),
    ],
)
def test_checkpoints_of_trainers(tiny, key: str, prefix: str, tmp_path: Path) -> None:
    content = {key: wrapped(tiny.state_dict(), prefix), "epoch": 3, "best": np.float64(0.5)}
    torch.save(content, tmp_path / "last.ckpt")
    assert_same_weights(load_sam("tiny", str(tmp_path / "last.ckpt")), tiny)


def test_safetensors_under_another_suffix(tiny, tmp_path: Path) -> None:
    save_sam(tiny, tmp_path / "sam.pth", torch.float32)
    assert_same_weights(load_sam("tiny", str(tmp_path / "sam.pth")), tiny)


def test_saved_means_and_deviations_must_be_those_in_use(tiny, tmp_path: Path) -> None:
    state = tiny.state_dict() | {"pixel_mean": PIXEL_MEAN, "pixel_std": PIXEL_STD}
    torch.save(state, tmp_path / "sam.pth")
    assert_same_weights(load_sam("tiny", str(tmp_path / "sam.pth")), tiny)
    torch.save(state | {"pixel_mean": torch.zeros(3, 1, 1)}, tmp_path / "sam.pth")
    with pytest.raises(UserError, match=r"was trained with pixel_mean=\[0\.0, 0\.0, 0\.0\], but images are"):
        load_sam("tiny", str(tmp_path / "sam.pth"))


def test_missing_unexpected_and_misshapen_tensors_are_listed(tiny, tmp_path: Path) -> None:
    state = tiny.state_dict()
    names = list(state)
    for name in names[:5]:
        del state[name]
    state["surplus"] = torch.zeros(1)
    state[names[-1]] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(UserError) as caught:
        load_sam("tiny", str(tmp_path / "bad.pth"))
    text = str(caught.value)
    assert "5 missing, 1 unexpected, 1 of another shape, of" in text
    assert text.split("\n")[1:7] == ["  missing:", *(f"    {name}" for name in sorted(names[:5]))]
    assert "  unexpected:\n    surplus\n" in text
    assert f"  of another shape:\n    {names[-1]}  (3, 3), network" in text
    assert "looks like" not in text


class Malice:
    def __reduce__(self):
        return os.mkdir, ("malice_was_here",)


def write_bad_file(kind: str, path: Path) -> Path:
    if kind == "code":
        torch.save({"weight": Malice()}, path)
    elif kind == "nested":
        torch.save({"layers": {"weight": torch.zeros(1)}}, path)
    elif kind == "list":
        torch.save([torch.zeros(1)], path)
    elif kind == "cut":
        torch.save({"weight": torch.zeros(9999)}, path)
        path.write_bytes(path.read_bytes()[:9999])
    elif kind == "page":
        path.write_text("<html>404 not found</html>")
    else:
        path.touch()
    return path


@pytest.mark.parametrize("kind", ["code", "nested", "list", "cut", "page", "empty"])
def test_a_file_that_is_no_checkpoint_gets_one_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_bad_file(kind, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"^sam\.checkpoint=\S+bad\.pth [^\n]*$"):
        load_sam("tiny", str(path))
    assert not (tmp_path / "malice_was_here").exists()


@pytest.mark.parametrize("kind", ["page", "empty", "cut"])
def test_a_file_that_is_no_safetensors_gets_one_sentence(kind: str, tmp_path: Path) -> None:
    path = write_bad_file(kind, tmp_path / "bad.safetensors")
    with pytest.raises(UserError, match=r"^sam\.checkpoint=\S+ cannot be read; is the file complete[^\n]*$"):
        load_sam("tiny", str(path))
