"""`trainer.precision=auto`: what it takes for each stage, its keys, and a run in it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from medsam_exp.cli.runner import plan_digest, run
from medsam_exp.config.build import build
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.sam.model import SamModel
from medsam_exp.stages import auto_precision
from medsam_exp.stages.auto_precision import stage_precision
from medsam_exp.stages.pipeline import STAGES
from tests.compose import composed

MAPS_AND_MASKS = {"saliency", "control_maps", "sam_embedding", "sam_mask"}


def planned(folder: Path, *overrides: str) -> Plan:
    cfg = composed(
        "+experiment=demo", "tuned/network=none", "data.count=1", f"paths.outputs={folder}", *overrides
    )
    dataset = build(cfg.data)
    return Plan(cfg, list(cfg.stages), dataset, build(cfg.text).bind(dataset.samples), FileDigests(None))


def keys(plan: Plan) -> dict[str, str]:
    return {name: artifacts.key for name, artifacts in plan.artifacts.items()}


@pytest.fixture
def made_for_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has it, and networks that count as large."""
    monkeypatch.setattr(auto_precision, "native_bf16", lambda _: "a processor")
    monkeypatch.setattr(auto_precision, "_LARGE", 0)


def test_embedded_networks_have_the_keys_of_float32(tmp_path: Path) -> None:
    auto, full = planned(tmp_path), planned(tmp_path, "trainer.precision=32-true")
    assert auto.cfg.trainer.precision == "auto"
    assert keys(auto) == keys(full)
    (line,) = auto.precision_lines()
    assert line == "saliency, sam_mask: 32-true, as the network is small"
    assert full.precision_lines() == []


@pytest.mark.usefixtures("made_for_bf16")
def test_what_it_takes_is_in_the_key(tmp_path: Path) -> None:
    assert keys(planned(tmp_path)) == keys(planned(tmp_path, "trainer.precision=bf16-mixed"))


@pytest.mark.usefixtures("made_for_bf16")
def test_a_job_is_the_same_on_machines_that_take_other_precisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("+experiment=demo", "tuned/network=none", "data.count=1", f"paths.outputs={tmp_path}")
    auto, mixed = composed(*given), composed(*given, "trainer.precision=bf16-mixed")
    here, keys_here = plan_digest(auto), keys(planned(tmp_path))
    assert plan_digest(mixed) != here
    monkeypatch.setattr(auto_precision, "native_bf16", lambda _: "")
    assert keys(planned(tmp_path)) != keys_here
    assert plan_digest(auto) == here


@pytest.mark.usefixtures("made_for_bf16")
def test_maps_and_masks_alone_bear_it(tmp_path: Path) -> None:
    weights = [tmp_path / "weights"]
    weights[0].touch()
    taken = {
        name for name, stage in STAGES.items() if stage_precision(stage, "cpu", weights)[0] == "bf16-mixed"
    }
    assert taken == MAPS_AND_MASKS
    assert not any(STAGES[name].trains or STAGES[name].gives_scores for name in taken)


def test_large_networks_on_known_devices_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [tmp_path / "one", tmp_path / "two"]
    for path in weights:
        path.write_bytes(bytes(600))
    monkeypatch.setattr(auto_precision, "_LARGE", 1000)
    stage = STAGES["saliency"]
    monkeypatch.setattr(auto_precision, "native_bf16", {"cpu": "a processor", "gpu": ""}.__getitem__)
    assert stage_precision(stage, "cpu", weights) == (
        "bf16-mixed",
        "a processor computes bfloat16 natively",
    )
    assert stage_precision(stage, "cpu", weights[:1]) == ("32-true", "the network is small")
    assert stage_precision(stage, "cpu", ()) == (
        "32-true",
        "its weights are in no file, which would tell its size",
    )
    assert stage_precision(stage, "gpu", weights)[0] == "32-true"


@pytest.mark.usefixtures("made_for_bf16")
def test_a_run_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    encode = SamModel.encode

    def watched(sam: SamModel, images: Any) -> Any:
        seen.append(torch.is_autocast_enabled("cpu"))
        return encode(sam, images)

    monkeypatch.setattr(SamModel, "encode", watched)
    given = (
        "+experiment=demo",
        "tuned/network=none",
        "data.count=1",
        "saliency=gradcam",
        f"paths.outputs={tmp_path}",
    )
    run(composed(*given), tmp_path, {}, list(given))
    assert seen == [True]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["environment"]["precision"] == (
        "bf16-mixed: saliency, sam_mask; 32-true: coarse_mask, evaluate"
    )
