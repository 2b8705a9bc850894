"""What the stage keeps of the prompts of each image, and how often they are made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.cli.runner import run
from medsam_exp.sam.prompt.augment import PointAugmentation
from medsam_exp.sam.prompt.map import MapAlone
from tests.compose import composed
from tests.stored import stored_infos

RUN = ("saliency=patch_text", "data=phantom", "data.count=3", "stages=[saliency,coarse_mask,sam_mask]")


def records(tmp_path: Path, *overrides: str) -> list[dict[str, Any]]:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    run(composed(*RUN, *overrides, f"paths.outputs={tmp_path}"), run_dir, {}, [*RUN, *overrides])
    summary = json.loads((run_dir / "summary.json").read_text())
    return stored_infos(tmp_path / "artifacts" / "sam_mask" / summary["keys"]["sam_mask"])


def test_a_point_that_joins_a_prompt_is_kept(tmp_path: Path) -> None:
    found = records(tmp_path, "prompt=augment_distance", "prompt@prompt.inner=box")
    assert any(record["presence"] for record in found)
    for record in found:
        if record["presence"]:
            prompts = record["prompts"]
            assert np.shape(prompts["point_coords"]) == (len(prompts["boxes_xyxy"]), 1, 2)
            assert np.all(np.array(prompts["point_labels"]) == 1)


@pytest.mark.parametrize(
    ("prompt", "made_by"),
    [("map", (MapAlone, "on_map")), ("augment_distance", (PointAugmentation, "changed"))],
)
def test_prompts_of_a_map_are_made_once_an_image(
    prompt: str, made_by: tuple[type, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    owner, name = made_by
    genuine = getattr(owner, name)

    def counted(self: Any, *given: Any) -> Any:
        asked.append(given)
        return genuine(self, *given)

    monkeypatch.setattr(owner, name, counted)
    found = records(tmp_path, f"prompt={prompt}")
    assert len(asked) == sum(record["presence"] for record in found) == 3
