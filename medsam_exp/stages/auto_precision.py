"""What `trainer.precision=auto` takes for a stage: bfloat16 where device, network and result are made for it."""

from collections.abc import Collection
from pathlib import Path

from medsam_exp.runtime.native_bf16 import native_bf16
from medsam_exp.stages.pipeline import Stage

AUTO = "auto"
FULL, MIXED = "32-true", "bf16-mixed"
_LARGE = 64 * 2**20
"""Bytes of weights from which on a network's time is its matrix products; the embedded networks have 4 and 6 MB."""


def stage_precision(stage: Stage, accelerator: str, weights: Collection[Path]) -> tuple[str, str]:
    """Choose a stage's precision.

    Args:
        stage: its row in the pipeline.
        accelerator: of the Trainer.
        weights: files of the networks that it runs; none where they start from random numbers.

    Returns:
        The Trainer's precision, and why.
    """
    if not stage.bears_bf16:
        return FULL, "weights and scores are computed in float32"
    if not weights:
        return FULL, "its weights are in no file, which would tell its size"
    if sum(path.stat().st_size for path in weights) < _LARGE:
        return FULL, "the network is small"
    if device := native_bf16(accelerator):
        return MIXED, f"{device} computes bfloat16 natively"
    return FULL, "the device is not known to compute bfloat16 natively"
