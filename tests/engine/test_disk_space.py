"""What a run will write against what is free, before it computes anything."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from medsam_exp.cli.runner import _inputs
from medsam_exp.config.schema import check
from medsam_exp.engine.disk_space import bytes_to_write, refuse_full_disk
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import UserError
from tests.compose import composed


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def planned(tmp_path: Path, count: int, *stages: str) -> Plan:
    words = (f"data.count={count}", "clip=tiny", "sam=tiny", f"stages=[{','.join(stages)}]")
    cfg = check(composed(f"paths.outputs={tmp_path / 'outputs'}", *words))
    dataset, texts, _ = _inputs(cfg, say_notes=False)
    return Plan(cfg, list(cfg.stages), dataset, texts, FileDigests(None))


def test_each_pending_result_counts_and_stored_ones_do_not(tmp_path: Path) -> None:
    few, more = (
        planned(tmp_path, count, "saliency", "coarse_mask", "sam_mask", "evaluate") for count in (2, 4)
    )
    assert bytes_to_write(more) == 2 * bytes_to_write(few)
    for artifacts in few.artifacts.values():
        for name in few.sample_ids:
            artifacts.save(name, {})
    assert bytes_to_write(few) == 0


def test_a_training_writes_its_network_several_times(tmp_path: Path) -> None:
    plan = planned(tmp_path, 1, "finetune_clip")
    (weights,) = (path for path in plan.objects.weight_files("clip") if path.suffix == ".safetensors")
    assert bytes_to_write(plan) > 7 * weights.stat().st_size


def test_a_run_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path, 2, "saliency", "coarse_mask", "sam_mask")
    needed = bytes_to_write(plan)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed, 0, needed))
    refuse_full_disk(plan)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed, 1, needed - 1))
    with pytest.raises(
        UserError, match=r"would write about 0.00012 GB, but .*artifacts has 0.00012 GB free: free"
    ):
        refuse_full_disk(plan)
