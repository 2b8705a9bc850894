"""A folder's description is checked before anything is built: one sentence with the file and the key."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
from transformers import dynamic_module_utils

from medsam_exp.clip.description import read_description
from medsam_exp.clip.load import load_clip, vision_layout
from medsam_exp.types import UserError


def change(folder: Path, keys: str, value: Any) -> None:
    """Set one value of the description, by keys with dots between them."""
    path = folder / "open_clip_config.json"
    content = json.loads(path.read_text())
    *tables, last = keys.split(".")
    table = content
    for key in tables:
        table = table[key]
    table[last] = value
    path.write_text(json.dumps(content))


VISION, TEXT = "model_cfg.vision_cfg", "model_cfg.text_cfg"


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (f"{VISION}.image_size", "224", r"is '224', but it must be Union\[Tuple\[int, int\], int\]"),
        (f"{VISION}.timm_model_name", "vit_base_patch61", "is 'vit_base_patch61', which timm does not know"),
        (f"{VISION}.timm_model_name", "hf-hub:x/y", "is 'hf-hub:x/y', which timm does not know"),
        (f"{VISION}.heights", 3, "is unknown"),
        ("model_cfg.embed_dims", 3, "is unknown"),
        (f"{VISION}.layers", 10**9, "is 1000000000, but it must be above 0 and at most 1000"),
        (f"{TEXT}.layers", 10**9, "is 1000000000, but it must be above 0 and at most 1000"),
        (f"{TEXT}.layers", 10**400, "is 1000000000"),
        (f"{TEXT}.width", -1, "is -1, but it must be above 0 and at most 100000"),
        (f"{TEXT}.heads", True, "is True, but it must be int"),
        (f"{TEXT}.layers", None, "is None, but it must be int"),
        (f"{VISION}.mlp_ratio", float("nan"), "is nan, but it must be above 0"),
        (VISION, [], "is no table of keys"),
        ("model_cfg.embed_dim", "24", "is '24', but it must be int"),
        ("model_cfg.quick_gelu", "false", "is 'false', but it must be true or false"),
        ("preprocess_cfg.mean", 0.5, "is 0.5, but it must be three numbers"),
        ("preprocess_cfg.std", [0.5, 0.5, 0], r"is \[0.5, 0.5, 0\], but it must be three numbers above 0"),
        ("preprocess_cfg.interpolation", "cubic", "is 'cubic', but it must be bicubic or bilinear"),
        ("preprocess_cfg", [1], "is no table of keys"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(tiny_folder: Path, keys: str, value: Any, said: str) -> None:
    change(tiny_folder, keys, value)
    for use in (load_clip, vision_layout):
        with pytest.raises(UserError, match=rf"open_clip_config\.json: {keys} {said}[^\n]*$"):
            use(str(tiny_folder))


def test_numbers_too_large_together_and_numbers_that_contradict_each_other(tiny_folder: Path) -> None:
    change(tiny_folder, VISION, {"width": 90_000, "layers": 900, "image_size": 32, "patch_size": 8})
    with pytest.raises(UserError, match=r"a network of more than 20 billion parameters\.$"):
        load_clip(str(tiny_folder))
    change(
        tiny_folder, VISION, {"width": 33, "head_width": 16, "layers": 2, "image_size": 32, "patch_size": 8}
    )
    with pytest.raises(
        UserError, match=r"open_clip_config\.json describes no network that can be built: [^\n]*$"
    ):
        load_clip(str(tiny_folder))


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"{", b"", b"[" * 100_000, b"[]", b'{"model_cfg": 3}'])
def test_what_is_no_description(tiny_folder: Path, content: bytes) -> None:
    (tiny_folder / "open_clip_config.json").write_bytes(content)
    with pytest.raises(
        UserError,
        match=r"open_clip_config\.json (cannot be read as|does not describe|holds lists and tables)[^\n]*$",
    ):
        load_clip(str(tiny_folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_tokenizer_is_named(tiny_folder: Path, name: str) -> None:
    (tiny_folder / name).write_bytes(b"{\xff")
    with pytest.raises(UserError, match=rf"the tokenizer in {tiny_folder} cannot be read [^\n]*$"):
        load_clip(str(tiny_folder))


def test_code_beside_a_tokenizer_is_not_run(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the folder's own description asks for it."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    marker = tmp_path / "code_ran"
    (tiny_folder / "foreign.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Foreign: ...\n")
    own = {"tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["foreign.Foreign", None]}}
    (tiny_folder / "tokenizer_config.json").write_text(json.dumps(own))
    change(tiny_folder, f"{TEXT}.tokenizer_kwargs", {"trust_remote_code": True})
    with pytest.raises(UserError, match=r"the tokenizer in .* cannot be read"):
        load_clip(str(tiny_folder))
    assert not marker.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever comes of half a tokenizer)
        open_clip.get_tokenizer(f"local-dir:{tiny_folder}")
    assert marker.exists(), "the test's own folder does what it should"


def test_every_network_of_open_clip_passes(tmp_path: Path) -> None:
    for name in open_clip.list_models():
        cfg = open_clip.get_model_config(name)
        if timm.is_model(cfg["vision_cfg"].get("timm_model_name", "test_vit")):
            (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
            assert read_description(tmp_path, name)[0] == json.loads(json.dumps(cfg))
