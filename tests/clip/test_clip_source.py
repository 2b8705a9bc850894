import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError
from open_clip.constants import IMAGENET_MEAN, OPENAI_DATASET_MEAN
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

from medsam_exp.clip import activation, hub
from medsam_exp.clip import source as source_module
from medsam_exp.clip.activation import activation_problem
from medsam_exp.clip.load import load_clip, vision_layout
from medsam_exp.clip.source import find_source
from medsam_exp.clip.weight_files import weight_files
from medsam_exp.types import UserError

Same = Callable[..., None]


def test_name_of_open_clip_with_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same: Same
) -> None:
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 3}
    text = {"context_length": 8, "width": 32, "heads": 2, "layers": 1}
    cfg = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-S", cfg)
    random = load_clip("ViT-S", "random", seed=3)
    path = tmp_path / "weights.pt"
    checkpoint = {
        "epoch": 3,
        "name": "a run",
        "state_dict": {f"module.{name}": value for name, value in random.network.state_dict().items()},
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-6}]},
    }
    torch.save(checkpoint, path)
    assert_same(load_clip("ViT-S", str(path)), random)
    assert weight_files("ViT-S", str(path)) == [path]
    assert weight_files("ViT-S", "random", saliency_layer=2, seed=0) == []
    with pytest.raises(UserError, match=r"set clip\.weights to a file, 'random'"):
        load_clip("ViT-S")


@pytest.mark.parametrize("weights", ["nowhere.pt", "openia"])
def test_unknown_weights(weights: str) -> None:
    with pytest.raises(
        UserError, match=f"clip.weights={weights} is neither a file nor a known tag; .* openai"
    ):
        load_clip("ViT-B-16", weights)


def test_missing_things_are_named(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone is not a folder"):
        load_clip(str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"neither a folder nor a model .*did you mean ViT-B-16"):
        load_clip("ViT-B-61")
    (tiny_folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer; put tokenizer\.json"):
        load_clip(str(tiny_folder))
    (tiny_folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(UserError, match="does not describe a network"):
        load_clip(str(tiny_folder))
    (tiny_folder / "open_clip_config.json").unlink()
    with pytest.raises(UserError, match=r"lacks open_clip_config\.json"):
        load_clip(str(tiny_folder))


def test_packaged_name(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, assert_same: Same) -> None:
    monkeypatch.setitem(source_module.PACKAGED, "tiny", tiny_folder)
    assert_same(load_clip("tiny"), load_clip(str(tiny_folder)))
    assert vision_layout("tiny").depth == 3


def test_hub_repository_in_the_cache(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same: Same
) -> None:
    repository = tmp_path / "cache" / "models--some--clip"
    snapshot = repository / "snapshots" / "0123abc"
    shutil.copytree(bert_folder, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    (snapshot / "special_tokens_map.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert_same(load_clip("hf-hub:some/clip"), load_clip(str(bert_folder)))
    assert vision_layout("hf-hub:some/clip").depth == 6
    assert snapshot / "open_clip_model.safetensors" in weight_files("hf-hub:some/clip")


def test_what_a_repository_lacks_is_known_without_a_network(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same: Same
) -> None:
    """The cache notes that there is no special_tokens_map.json, as newer repositories have none."""
    repository = tmp_path / "cache" / "models--some--clip"
    shutil.copytree(bert_folder, repository / "snapshots" / "0123abc")
    (repository / "snapshots" / "0123abc" / "special_tokens_map.json").unlink(missing_ok=True)
    for folder, name, content in (
        ("refs", "main", "0123abc"),
        (".no_exist/0123abc", "special_tokens_map.json", ""),
    ):
        (repository / folder).mkdir(parents=True)
        (repository / folder / name).write_text(content)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert_same(load_clip("hf-hub:some/clip"), load_clip(str(bert_folder)))


def test_what_the_hub_says_it_lacks_is_noted_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def absent(*_: object, **__: object) -> None:
        raise EntryNotFoundError.__new__(EntryNotFoundError)

    def download(repository: str, name: str) -> None:
        asked.append((repository, name))
        absent()

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "get_hf_file_metadata", absent)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert hub.hub_file("some/clip", "special_tokens_map.json") is None
    assert asked == [("some/clip", "special_tokens_map.json")]


def test_a_first_run_from_the_hub_has_the_key_of_the_second(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokenizer is fetched before the files that decide a result are counted."""
    cache = tmp_path / "snapshot"
    cache.mkdir()

    def hub_file(_: str, *names: str) -> Path | None:
        name = next((name for name in names if (bert_folder / name).is_file()), None)
        return None if name is None else Path(shutil.copy(bert_folder / name, cache / name))

    monkeypatch.setattr(source_module, "hub_file", hub_file)
    first = weight_files("hf-hub:some/clip")
    assert {path.name for path in first} >= {
        "tokenizer.json",
        "tokenizer_config.json",
        "open_clip_config.json",
    }
    load_clip("hf-hub:some/clip")
    assert weight_files("hf-hub:some/clip") == first


def test_hub_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="is not in the local cache and cannot be downloaded"):
        load_clip("hf-hub:some/clip")


QUICK = (
    "were trained with QuickGELU, but clip.model=ViT-B-32 computes GELU; set clip.model=ViT-B-32-quickgelu"
)


def test_a_tag_of_another_activation_is_refused_before_it_is_fetched() -> None:
    for use in (load_clip, weight_files):
        with pytest.raises(UserError, match=f"the weights openai {QUICK}"):
            use("ViT-B-32", "openai")
    for tag in list_pretrained_tags_by_model("ViT-B-32"):
        other = activation_problem("ViT-B-32", {"quick_gelu": False}, tag, None)
        trained = get_pretrained_cfg("ViT-B-32", tag).get("quick_gelu", False)
        assert (other is not None) == trained, tag
        assert trained == (tag in list_pretrained_tags_by_model("ViT-B-32-quickgelu"))


def test_openais_archive_is_refused_by_a_network_with_another_activation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "ViT-B-32.pt"
    archive.touch()
    monkeypatch.setattr(activation, "is_torchscript", lambda path: path == archive)
    with pytest.raises(UserError, match=f"ViT-B-32.pt {QUICK}"):
        weight_files("ViT-B-32", str(archive))
    assert weight_files("ViT-B-32-quickgelu", str(archive)) == [archive]
    assert weight_files("ViT-B-32-256", str(archive)) == [archive]  # which has no other of its kind


@pytest.mark.parametrize(
    ("name", "mean", "interpolation"),
    [
        ("ViT-B-16-SigLIP", 0.5, "bicubic"),
        ("ViT-B-16", OPENAI_DATASET_MEAN[0], "bicubic"),
        ("ViT-L-14-CLIPA", IMAGENET_MEAN[0], "bilinear"),
        ("MobileCLIP-B", 0.0, "bilinear"),
        ("ViT-M-32", OPENAI_DATASET_MEAN[0], "bicubic"),  # no tags, so nothing is known
    ],
)
def test_a_file_for_a_network_by_name_is_fed_as_the_network_s_tags_are(
    name: str, mean: float, interpolation: str, tmp_path: Path
) -> None:
    (tmp_path / "w.pt").touch()
    found = find_source(name, str(tmp_path / "w.pt")).preprocess
    assert (found["mean"][0], found["interpolation"]) == (mean, interpolation)
    for tag in list_pretrained_tags_by_model(name):
        assert find_source(name, tag).preprocess["mean"][0] == mean


def test_an_input_that_is_not_sure_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "w.pt").touch()
    assert find_source("ViT-L-14", str(tmp_path / "w.pt")).preprocess["mean"] == OPENAI_DATASET_MEAN
    assert (
        "weights of ViT-L-14 were trained with more than one mean and std; OpenAI's are taken" in caplog.text
    )
    assert find_source("ViT-L-14", "laion2b_s32b_b82k").preprocess["mean"] == (0.5, 0.5, 0.5)
    assert len(caplog.records) == 1
