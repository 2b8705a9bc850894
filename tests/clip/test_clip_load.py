import inspect
import shutil
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.clip.source import find_source, find_weights, tokenizer_files
from medsam_exp.clip.weight_files import weight_files
from medsam_exp.types import UserError

ROOT = Path(__file__).resolve().parents[2]
Embed = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Same = Callable[..., None]


def test_folder(tiny_folder: Path, assert_same: Same) -> None:
    clip = load_clip(str(tiny_folder), saliency_layer=1)
    assert (clip.depth, clip.grid, clip.embed_dim, clip.image_size, clip.saliency_layer) == (
        3,
        (4, 4),
        24,
        32,
        1,
    )
    assert clip.preprocess.mean == (0.1, 0.2, 0.3)
    assert clip.preprocess.std == (0.5, 0.6, 0.7)
    assert not clip.training
    stored = load_file(tiny_folder / "open_clip_model.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in clip.network.state_dict().items())
    assert_same(clip, load_clip(f"local-dir:{tiny_folder}"))


def test_tokenizer_of_the_folder_knows_every_text(tiny_folder: Path) -> None:
    clip = load_clip(str(tiny_folder))
    tokens = clip.tokenize(["a lesion", "Läsion 病変 \u0000 🩻"])
    assert tokens.shape == (2, 12)
    reference = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    assert tokens[0].tolist()[:4] == (reference.encode("a lesion").ids + [0] * 12)[:4]


def test_half_precision_file_is_widened(tiny_folder: Path) -> None:
    path = tiny_folder / "open_clip_model.safetensors"
    state = {name: value.half() for name, value in load_file(path).items()}
    save_file(state, path)
    clip = load_clip(str(tiny_folder))
    assert {parameter.dtype for parameter in clip.parameters()} == {torch.float32}
    assert all(torch.equal(value, state[name].float()) for name, value in clip.network.state_dict().items())


def test_random_weights_follow_the_seed_and_leave_the_global_state(
    tiny_folder: Path, embeddings: Embed, assert_same: Same
) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = load_clip(str(tiny_folder), "random", seed=1)
    load_clip(str(tiny_folder))
    assert torch.equal(torch.rand(3), expected)
    assert_same(load_clip(str(tiny_folder), "random", seed=1), first)
    assert not torch.equal(embeddings(load_clip(str(tiny_folder), "random", seed=2))[0], embeddings(first)[0])


def test_random_needs_no_weights(tiny_folder: Path) -> None:
    (tiny_folder / "open_clip_model.safetensors").unlink()
    load_clip(str(tiny_folder), "random")
    with pytest.raises(UserError, match=r"no file of weights.*open_clip_model\.safetensors"):
        load_clip(str(tiny_folder))


def test_captioning_models_are_refused() -> None:
    with pytest.raises(UserError, match="captioning model"):
        load_clip("coca_ViT-B-32", "random")


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "clip").glob("*.yaml")), ids=lambda path: path.stem)
def test_choices_are_arguments_of_the_loader(path: Path) -> None:
    choice = yaml.safe_load(path.read_text())
    choice.pop("defaults", None)
    assert choice.pop("_target_") == "medsam_exp.clip.load.load_clip"
    inspect.signature(load_clip).bind(**choice)
    inspect.signature(weight_files).bind(**choice)
    assert "saliency_layer" in choice


def test_weight_files_cover_what_decides_the_result(tiny_folder: Path) -> None:
    names = {path.name for path in weight_files(str(tiny_folder))}
    assert names == {
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    without = {path.name for path in weight_files(str(tiny_folder), "random")}
    assert without == names - {"open_clip_model.safetensors"}


@pytest.mark.parametrize("kind", ["tiny_folder", "bert_folder"])
def test_saved_folder_loads_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, assert_same: Same
) -> None:
    clip = load_clip(str(request.getfixturevalue(kind)))
    with torch.no_grad():
        for parameter in clip.parameters():
            parameter.mul_(1.1)
    saved = tmp_path / "new" / "saved"
    save_clip(clip, saved)
    again = load_clip(str(saved))
    assert again.preprocess == clip.preprocess
    assert_same(again, clip, atol=0.02)
    stored = load_file(saved / "open_clip_model.safetensors")
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    assert all(
        torch.equal(stored[name], v.half()) for name, v in clip.network.state_dict().items() if name in stored
    )
    save_clip(clip, saved, dtype=torch.float32)
    assert_same(load_clip(str(saved)), clip)


def test_open_clip_itself_loads_a_saved_folder(tiny_folder: Path, tmp_path: Path, embeddings: Embed) -> None:
    clip = load_clip(str(tiny_folder))
    save_clip(clip, tmp_path / "saved", dtype=torch.float32)
    name = f"local-dir:{tmp_path / 'saved'}"
    network, _, transform = open_clip.create_model_and_transforms(name)
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    tokens = open_clip.get_tokenizer(name)(["a lesion"])
    assert torch.equal(tokens, clip.tokenize(["a lesion"]))
    with torch.no_grad():
        torch.testing.assert_close(network.eval().encode_text(tokens), embeddings(clip)[1])
        images = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
        torch.testing.assert_close(network.encode_image(images), embeddings(clip)[0])
    assert "Resize(size=(32, 32)" in str(transform)  # squashed, as here


@pytest.mark.parametrize("weights", [None, "random"])
@pytest.mark.parametrize("model", ["tiny", "local-dir:{}", "{}"])
def test_a_folders_files_are_those_of_its_read_description(
    model: str, weights: str | None, tiny_folder: Path
) -> None:
    named = model.format(tiny_folder)
    source = find_source(named, weights)
    path = find_weights(source, weights)
    assert weight_files(named, weights) == [*tokenizer_files(source), *([path] if path else [])]


def test_a_network_of_open_clips_comes_before_a_folder_of_its_name(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_folder, tiny_folder.parent / "here" / "ViT-B" / "16")
    monkeypatch.chdir(tiny_folder.parent / "here")
    assert len(weight_files("local-dir:ViT-B/16", "random")) > 0
    assert find_source("ViT-B/16").folder is None
    assert weight_files("ViT-B/16", "random") == []
