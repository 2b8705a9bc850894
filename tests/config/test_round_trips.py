"""Properties of configurations that are typed, saved and read again, on values that nobody would think of."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import build
from medsam_exp.config.overrides import hydra_value
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from tests.compose import composed

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)
REFERENCE = "${"
"""Hydra's `instantiate` takes even an escaped one for a reference, so that a text that holds it is refused."""
TYPED = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**31 - 1),
        "data.count": st.integers(1, 3),
        "saliency.beta": st.floats(1e-6, 1e6),
        "postprocess": st.sampled_from(["kmeans", "otsu", "threshold"]),
        "prompt": st.sampled_from(["box", "points", "map_and_box"]),
        "batch_size.saliency": st.integers(1, 64),
        "text.text": TEXTS.filter(lambda text: REFERENCE not in text)
        | st.sampled_from(["null", "yes", "1e3", "$seed", "a: b", "- a", "'", "\\", "[a,{b}]"]),
    }
)  # fmt: skip
SMALL = ("stages=[saliency,coarse_mask,sam_mask]", "text=free", "clip=tiny_random", "sam=tiny_scratch")


def keys(cfg: DictConfig) -> dict[str, str]:
    """Of the stages' results."""
    dataset = build(cfg.data)
    plan = Plan(cfg, list(cfg.stages), dataset, build(cfg.text).bind(dataset.samples), FileDigests())
    return {name: stored.content_digest for name, stored in plan.artifacts.items()}


@settings(max_examples=8, deadline=None, derandomize=True)
@given(TYPED)
def test_a_configuration_that_is_saved_and_read_gives_the_same_results(typed: dict[str, Any]) -> None:
    cfg = composed(*SMALL, *(f"{name}={hydra_value(value)}" for name, value in typed.items()))
    assert cfg.text.text == typed["text.text"]
    assert cfg.saliency.beta == typed["saliency.beta"]
    with tempfile.TemporaryDirectory() as folder:
        OmegaConf.save(cfg, Path(folder) / "config.yaml")
        again = OmegaConf.load(Path(folder) / "config.yaml")
    assert again == cfg
    assert keys(again) == keys(cfg)
