"""What an engine's stages are known by: the version of their code, and all that decides a sample's result."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.config.build import build
from medsam_exp.config.schema import check
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.stages.pipeline import STAGES
from tests.compose import composed

CHAIN = ("saliency", "coarse_mask", "evaluate")


def identities(root: Path, *overrides: str) -> dict[str, str]:
    """What the results of each stage of a run over one image are known by."""
    for name in ("test_images", "test_masks"):
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(np.eye(24, dtype=np.uint8) * 255).save(root / name / "a.png")
    cfg = check(
        composed(
            "data=folder",
            f"data.root={root}",
            "text=free",
            "text.text=a mass",
            "saliency=intensity",
            f"stages=[{','.join(CHAIN)}]",
            f"paths.outputs={root}/outputs",
            *overrides,
        )
    )
    dataset = build(cfg.data)
    texts = build(cfg.text).bind(dataset.samples)
    plan = Plan(cfg, list(CHAIN), dataset, texts, FileDigests())
    return {name: artifacts.content_digest for name, artifacts in plan.artifacts.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [name for name in CHAIN if before[name] != after[name]]


def test_newer_code_of_a_stage_computes_it_and_what_builds_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identities(tmp_path)
    assert not changed(before, identities(tmp_path))
    newer = replace(STAGES["coarse_mask"], version=STAGES["coarse_mask"].version + 1)
    monkeypatch.setitem(STAGES, "coarse_mask", newer)
    assert changed(before, identities(tmp_path)) == ["coarse_mask", "evaluate"]


def test_another_size_of_a_pixel_computes_the_scores_alone(tmp_path: Path) -> None:
    before = identities(tmp_path, "data.spacing_mm=[0.5,0.5]")
    assert changed(before, identities(tmp_path, "data.spacing_mm=[0.5,0.25]")) == ["evaluate"]
