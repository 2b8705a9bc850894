"""A trained network is used as it was written, or made again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medsam_exp.runtime.artifacts import LostRecordError, StageArtifacts
from medsam_exp.stages.trained_files import checksums_of, trained_results


@pytest.fixture
def stored(tmp_path: Path) -> StageArtifacts:
    """Of a training that has left a folder with a network."""
    artifacts = StageArtifacts(tmp_path, "finetune_clip", "k", {"all": "1" * 64})
    (artifacts.folder / "clip").mkdir(parents=True)
    (artifacts.folder / "clip" / "weights.safetensors").write_bytes(bytes(range(256)) * 9)
    (artifacts.folder / "clip" / "config.json").write_text("{}")
    record = {"results": "clip", "figures": {}, "files": checksums_of(artifacts.folder, "clip")}
    assert len(record["files"]) == 2
    artifacts.save("all", record)
    return artifacts


def test_a_whole_network_is_used(stored: StageArtifacts) -> None:
    assert trained_results(stored) == stored.folder / "clip"


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
    ],
    ids=["deleted", "emptied", "one byte"],
)
def test_a_damaged_network_is_set_aside_and_its_training_is_pending(
    stored: StageArtifacts, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    weights = stored.folder / "clip" / "weights.safetensors"
    damage(weights)
    assert not stored.pending(["all"])
    with pytest.raises(LostRecordError):
        trained_results(stored)
    assert stored.pending(["all"]) == ("all",)
    assert not weights.exists()
    assert (weights.parent / "weights.safetensors.damaged").exists()
    (said,) = caplog.messages
    assert "weights.safetensors is not what the training wrote" in said


def test_records_without_checksums_are_believed(tmp_path: Path) -> None:
    artifacts = StageArtifacts(tmp_path, "train_sam", "k", {"all": "1" * 64})
    artifacts.save("all", {"results": "sam.safetensors", "figures": {}})
    assert trained_results(artifacts) == artifacts.folder / "sam.safetensors"
