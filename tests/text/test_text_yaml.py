from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from medsam_exp.types import Sample

CONF = Path(__file__).resolve().parents[2] / "conf" / "text"


@pytest.mark.parametrize("choice", ["class_name", "free", "per_image", "description", "shuffled"])
def test_every_choice_builds_and_binds(tmp_path, choice):
    (tmp_path / "texts.json").write_text('{"a.png": "dark", "b.png": "bright"}')
    config = OmegaConf.create(
        {"data": {"target": "breast tumor"}, "text": OmegaConf.load(CONF / f"{choice}.yaml")}
    )
    given = {"free": {"text": "a mass"}, "per_image": {"path": str(tmp_path / "texts.json")}}.get(choice, {})
    source = instantiate(OmegaConf.merge(config, {"text": given}).text)
    texts = source.bind([Sample("a", None, "dark"), Sample("b", None, "bright")])
    expected = {
        "class_name": ("breast tumor", "breast tumor"),
        "free": ("a mass", "a mass"),
        "per_image": ("dark", "bright"),
        "description": ("dark", "bright"),
        "shuffled": ("bright", "dark"),
    }[choice]
    assert texts == {"a": (expected[0],), "b": (expected[1],)}
