"""What an engine's stages are known by: the version of their code, and all that decides a sample's result."""

import json
import shutil
import subprocess
import sys
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
from medsam_exp.types import UserError
from tests.compose import composed
from tests.conftest import ROOT

CHAIN = ("saliency", "coarse_mask", "evaluate")
RECORDED = json.loads((Path(__file__).parent / "recorded_keys.json").read_text())
"""By the options of a run, the keys of its stages: with others, all that users have stored would be computed again."""
WITHOUT_TORCH = """
import sys
from medsam_exp.config.build import build
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from tests.compose import composed

cfg = composed("+experiment=demo", "data.count=2", f"paths.outputs={sys.argv[1]}")
dataset = build(cfg.data)
Plan(cfg, list(cfg.stages), dataset, build(cfg.text).bind(dataset.samples), FileDigests())
print([name for name in ("torch", "open_clip") if name in sys.modules])
"""


def identities(root: Path, *overrides: str, saliency: str = "intensity") -> dict[str, str]:
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
            f"saliency={saliency}",
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


def test_other_weights_of_a_network_within_a_method_compute_its_maps(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_text(name)
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere")
    found = {
        name: identities(tmp_path, f"saliency.proxy.model={tmp_path / name}", saliency="proxyclip")
        for name in ("one", "other", "elsewhere")
    }
    assert changed(found["one"], found["other"]) == [*CHAIN]
    assert not changed(found["one"], found["elsewhere"])


def test_a_presence_score_of_its_own_network_knows_no_clip(tmp_path: Path) -> None:
    """Neither in its key nor among what must come before it; CLIP's score has both."""
    model = tmp_path / "sam3.pt"
    model.write_text("weights")

    def key(presence: str, *overrides: str) -> str:
        run = (f"presence={presence}", *overrides, "data.count=1", f"paths.outputs={tmp_path}")
        cfg = check(composed(*run))
        dataset = build(cfg.data)
        texts = build(cfg.text).bind(dataset.samples)
        return Plan(cfg, list(cfg.stages), dataset, texts, FileDigests()).artifacts["presence"].key

    sam3, after = f"presence.model={model}", "stages=[saliency,presence]"
    alone = key("sam3", sam3, "stages=[presence]")
    assert alone == key("sam3", sam3, after, "clip=tiny_random", "saliency=patch_text")
    assert key("clip_contrast", after) != key("clip_contrast", after, "clip=tiny_random")
    assert key("clip_contrast", after) != key("clip_contrast", after, "saliency=patch_text")
    with pytest.raises(UserError, match="stage 'presence' needs 'saliency' before it"):
        key("clip_contrast", "stages=[presence]")
    model.write_text("others")
    assert alone != key("sam3", sam3, "stages=[presence]")


@pytest.mark.parametrize("options", RECORDED, ids=lambda options: options.removeprefix("+experiment="))
def test_keys_stay(options: str, tmp_path: Path) -> None:
    """Where they must change, take the stage's next version, and write them anew."""
    cfg = check(composed(*options.split(), "data.count=2", f"paths.outputs={tmp_path}"))
    dataset = build(cfg.data)
    texts = build(cfg.text).bind(dataset.samples)
    planned = Plan(cfg, list(cfg.stages), dataset, texts, FileDigests()).artifacts
    assert {name: artifacts.key for name, artifacts in planned.items()} == RECORDED[options]


def test_a_plan_needs_no_torch(tmp_path: Path) -> None:
    """So that a run whose results are all stored begins at once."""
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
