"""Checkpoints of a training: the last good one is found, whatever happened to the last."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medsam_exp.training.checkpoint_files import (
    CheckpointFiles,
    forget_the_one_before,
    is_whole,
    whole_checkpoint,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the checkpoints of two epochs."""
    for epoch in (1, 2):
        CheckpointFiles().save_checkpoint(
            {"epoch": epoch, "weights": torch.full((99, 9), float(epoch))}, tmp_path / "last.ckpt"
        )
    return tmp_path


def epoch_of(path: Path | None) -> int | None:
    return None if path is None else int(torch.load(path, weights_only=True)["epoch"])


def test_the_last_of_two_is_taken_and_the_one_before_goes_in_the_end(folder: Path) -> None:
    assert epoch_of(whole_checkpoint(folder)) == 2
    assert len(list(folder.iterdir())) == 2
    forget_the_one_before(folder)
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]
    assert whole_checkpoint(folder / "nowhere") is None


def flipped(content: bytes) -> bytes:
    place = content.index(torch.full((9,), 2.0).numpy().tobytes())
    return content[:place] + b"\1" + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        flipped,
        lambda content: b"x" * len(content),
    ],
    ids=["emptied", "halved", "flipped", "garbage"],
)
def test_a_damaged_one_is_set_aside_and_the_one_before_is_taken(
    folder: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    last = folder / "last.ckpt"
    last.write_bytes(damage(last.read_bytes()))
    assert not is_whole(last)
    assert epoch_of(whole_checkpoint(folder)) == 1
    assert (folder / "last.ckpt.damaged").is_file()
    (said,) = caplog.messages
    assert "last.ckpt was damaged" in said
    (folder / "last.ckpt.before").write_bytes(b"")
    assert whole_checkpoint(folder) is None


def test_a_kill_between_the_names_leaves_the_one_before(folder: Path) -> None:
    (folder / "last.ckpt").unlink()
    assert epoch_of(whole_checkpoint(folder)) == 1
