"""What an ensemble answers where nnU-Net cropped the image away; no network is needed for that."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
from medsam_exp.nnunet.inference import Predictor, PreparedImage
from medsam_exp.training.nnunet_inference import ensemble_answers


class Cropped(Predictor):
    """Two members, both of which are sure of the last of three classes within the crop."""

    def __init__(self) -> None:
        labels = {"background": 0, "cyst": 1, "tumor": 2}
        self.results: Any = SimpleNamespace(members=[Path("a"), Path("b")], labels=labels)
        self._nnunet: Any = SimpleNamespace(
            network=torch.nn.Identity(), plans_manager=SimpleNamespace(transpose_backward=[0, 1, 2])
        )

    def use(self, member: Path) -> None:
        del member

    def probabilities(self, image: PreparedImage) -> torch.Tensor:
        del image
        return torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(3, 2, 3)


def test_beyond_the_crop_all_is_background() -> None:
    box = {"bbox_used_for_cropping": ((0, 1), (1, 3), (2, 5)), "shape_before_cropping": (1, 4, 6)}
    found = dict(ensemble_answers(Cropped(), [("a", PreparedImage(torch.zeros(0), box))]))
    inside = np.zeros((4, 6), bool)
    inside[1:3, 2:5] = True
    background, cyst, tumor = found["a"].probabilities
    assert np.array_equal(background, ~inside)
    assert not cyst.any()
    assert np.array_equal(tumor, inside)
    assert not any(values.any() for values in found["a"].maps.values())
