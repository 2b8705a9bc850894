"""Stored SAM embeddings spare the encoder and change nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.cli.runner import run
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.sam2 import Sam2
from medsam_exp.types import UserError
from tests.compose import composed
from tests.sam.small_networks import small_sam2

SMALL = ("clip=tiny_random", "sam=tiny_scratch", "saliency.steps=2", "data=phantom_classes", "data.count=3")
STORED = "stages=[saliency,coarse_mask,sam_embedding,sam_mask,evaluate]"


def finish(outputs: Path, name: str, *overrides: str) -> dict[str, Any]:
    run_dir = outputs / name
    run_dir.mkdir(parents=True)
    typed = [*SMALL, f"paths.outputs={outputs}", *overrides]
    run(composed(*typed), run_dir, {"clip": "tiny_random", "data": "phantom_classes"}, typed)
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return summary


def masks(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run_dir / "masks").glob("*.png")}


@pytest.mark.parametrize("sam", [(), ("sam=sam2_tiny", "sam.checkpoint=random")], ids=["sam", "sam2"])
def test_masks_and_keys_are_the_same_and_each_image_is_encoded_once(
    sam: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three scans with two lesions each are six samples; two prompts are tried on them."""
    monkeypatch.setitem(FAMILIES, "sam2_tiny", replace(FAMILIES["sam2_tiny"], build=small_sam2))
    plain = finish(tmp_path / "plain", "run", "batch_size.sam_mask=1", *sam)
    encoded: list[int] = []
    kind: Any = Sam2 if sam else SamModel
    encode = kind.encode

    def counted(model: Any, images: Any) -> Any:
        encoded.append(len(images))
        return encode(model, images)

    monkeypatch.setattr(kind, "encode", counted)
    sizes = ("batch_size.sam_embedding=1", "batch_size.sam_mask=4", *sam)
    stored = finish(tmp_path / "stored", "run", STORED, *sizes)
    other = finish(tmp_path / "stored", "points", STORED, *sizes, "prompt=points")
    assert encoded == [1, 1, 1]
    assert stored["keys"]["sam_mask"] == plain["keys"]["sam_mask"]
    assert other["keys"]["sam_mask"] != plain["keys"]["sam_mask"]
    assert other["keys"]["sam_embedding"] == stored["keys"]["sam_embedding"]
    assert len(masks(tmp_path / "plain" / "run")) == 6
    assert masks(tmp_path / "stored" / "run") == masks(tmp_path / "plain" / "run")
    assert masks(tmp_path / "stored" / "points") != masks(tmp_path / "plain" / "run")


def test_too_many_bytes_are_refused_before_any_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"3 images would take 0\.000393 GB, more than .*disk_limit_gb=1e-05"):
        finish(tmp_path, "run", STORED, "sam_embedding.disk_limit_gb=1e-5")
    assert not any(tmp_path.glob("artifacts/sam_embedding/*/*"))
