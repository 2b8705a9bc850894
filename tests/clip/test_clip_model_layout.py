"""transformers' CLIPModel, as a file of weights and as a whole folder, computes what transformers itself does."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import open_clip
import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from medsam_exp.clip import hub
from medsam_exp.clip.layouts import is_clip_model
from medsam_exp.clip.load import load_clip, vision_layout
from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.weight_files import weight_files
from medsam_exp.types import UserError

VISION = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
TEXT = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 3,
    "max_position_embeddings": 20,
}  # fmt: skip


def transformers_clip(vision: dict[str, Any], text: dict[str, Any], **options: Any) -> CLIPModel:
    """Random weights, each of its own; layer norms and biases, which start alike, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, **options)).eval()
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    return model


@pytest.fixture(scope="module")
def small() -> CLIPModel:
    return transformers_clip(VISION, TEXT, projection_dim=24)


@pytest.fixture
def folder(small: CLIPModel, tmp_path: Path) -> Path:
    small.save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


def assert_computes_the_same(clip: ClipModel, reference: CLIPModel, near: float = 1e-5) -> None:
    images = torch.randn(2, 3, clip.image_size, clip.image_size, generator=torch.Generator().manual_seed(5))
    tokens = clip.tokenize(["a benign breast tumor", "lesions"])
    with torch.no_grad():
        said = reference(input_ids=tokens, pixel_values=images)
        image, text = (
            torch.nn.functional.normalize(one, dim=-1)
            for one in (clip.encode_image(images), clip.encode_text(tokens))
        )
    torch.testing.assert_close(image, said.image_embeds, rtol=near, atol=near)
    torch.testing.assert_close(text, said.text_embeds, rtol=near, atol=near)
    assert torch.equal(clip.logit_scale, reference.logit_scale)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_whole_folder(small: CLIPModel, folder: Path, name: str) -> None:
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
        state = small.state_dict() | {"text_model.embeddings.position_ids": torch.arange(20)[None]}
        torch.save(state, folder / name)
    clip = load_clip(str(folder), saliency_layer=1)
    assert_computes_the_same(clip, small)
    assert (clip.depth, clip.grid, clip.embed_dim) == (3, (4, 4), 24)
    assert vision_layout(str(folder)).depth == 3
    assert {path.name for path in weight_files(str(folder))} == {"config.json", name}


def test_a_repository_in_the_cache(
    small: CLIPModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "cache" / "models--some--clip"
    shutil.copytree(folder, repository / "snapshots" / "0123abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    (repository / ".no_exist" / "0123abc").mkdir(parents=True)
    for name in ("open_clip_config.json", "preprocessor_config.json"):
        (repository / ".no_exist" / "0123abc" / name).touch()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "_download", lambda *_: None)
    assert_computes_the_same(load_clip("hf-hub:some/clip"), small)


def test_the_folder_says_how_images_are_standardised(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.1] * 3, "image_std": [0.5] * 3})
    )
    assert load_clip(str(folder)).preprocess.mean == (0.1, 0.1, 0.1)
    assert folder / "preprocessor_config.json" in weight_files(str(folder))


def test_the_folder_says_the_activation_and_the_epsilon(tmp_path: Path) -> None:
    more = {"hidden_act": "gelu", "layer_norm_eps": 1e-3}
    reference = transformers_clip(VISION | more, TEXT | more, projection_dim=24)
    reference.save_pretrained(tmp_path)
    assert_computes_the_same(load_clip(str(tmp_path)), reference)


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        ("text_config", "vocab_size", 300, "text_config is not of OpenAI's vocabulary"),
        ("vision_config", "hidden_act", "relu", r"hidden_act is quick_gelu and relu"),
        (
            "vision_config",
            "num_hidden_layers",
            10**9,
            r"vision_cfg\.layers is 1000000000, but it must be above 0",
        ),
        ("text_config", "hidden_act", ["gelu"], "does not describe a CLIP of transformers'"),
        ("vision_config", "num_attention_heads", 0, "does not describe a CLIP of transformers'"),
        # The latter is what earlier versions of transformers say.
        ("vision_config", "num_attention_heads", "many", r"_heads' expected int, got str|'int' and 'str'"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    folder: Path, where: str, key: str, value: Any, said: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[where][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"config\.json.*{said}[^\n]*$"):
        load_clip(str(folder))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """A network of open_clip's by name, in the small sizes."""
    cfg = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": 32,
            "patch_size": 8,
            "width": 64,
            "head_width": 32,
            "layers": 3,
            "mlp_ratio": 1.5,
        },
        "text_cfg": {"context_length": 20, "width": 48, "heads": 3, "layers": 2, "mlp_ratio": 80 / 48},
    }
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-S-quickgelu", cfg)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-S", cfg | {"quick_gelu": False})
    return "ViT-S-quickgelu"


def test_a_file_of_weights_for_a_network_by_name(small: CLIPModel, folder: Path, named: str) -> None:
    assert_computes_the_same(load_clip(named, str(folder / "model.safetensors")), small)


def test_the_activation_is_read_beside_the_file(folder: Path, named: str) -> None:
    said = "were trained with QuickGELU, but clip.model=ViT-S computes GELU; set clip.model=ViT-S-quickgelu"
    with pytest.raises(UserError, match=said):
        load_clip("ViT-S", str(folder / "model.safetensors"))


def test_what_is_missing_is_named_in_open_clips_names(small: CLIPModel, tmp_path: Path, named: str) -> None:
    assert is_clip_model(small.state_dict())
    state = small.state_dict()
    del (
        state["vision_model.encoder.layers.1.self_attn.k_proj.bias"],
        state["text_model.final_layer_norm.bias"],
    )
    torch.save(state, tmp_path / "w.bin")
    with pytest.raises(UserError) as caught:
        load_clip(named, str(tmp_path / "w.bin"))
    assert str(caught.value).split("\n")[1:] == [
        "  missing:",
        "    ln_final.bias",
        "    visual.transformer.resblocks.1.attn.in_proj_bias",
        "  unexpected:",
        "    vision_model.encoder.layers.1.self_attn.q_proj.bias",
        "    vision_model.encoder.layers.1.self_attn.v_proj.bias",
    ]


@pytest.mark.slow
def test_full_size(tmp_path: Path) -> None:
    """OpenAI's ViT-B/32, as PubMedCLIP lies on the hub too."""
    reference = transformers_clip({}, {})
    reference.save_pretrained(tmp_path)
    for model, weights in (
        (str(tmp_path), None),
        ("ViT-B-32-quickgelu", str(tmp_path / "model.safetensors")),
    ):
        assert_computes_the_same(load_clip(model, weights), reference)
