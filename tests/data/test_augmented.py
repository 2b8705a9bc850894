"""Changed images keep their ids, and are known by their images and by the change."""

from pathlib import Path

import numpy as np
import pytest

from medsam_exp.config.auxiliary_images import auxiliary_data
from medsam_exp.config.build import build
from medsam_exp.data.augmentation.gamma import Gamma
from medsam_exp.data.augmented import AugmentedDataset
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import UserError
from tests.compose import composed

SCANS = PhantomDataset(seed=2, count=2)


@pytest.mark.parametrize("gamma", [0.5, 0.8, 2.0])
def test_gamma_is_the_power_of_each_value(gamma: float) -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    changed = Gamma(gamma)(image)
    for value, found in zip(image.flat, changed.flat, strict=True):
        assert abs(255 * (value / 255) ** gamma - int(found)) <= 0.5
    assert (changed[0, 0, 0], changed[-1, -1, 0]) == (0, 255)
    assert changed.dtype == np.uint8


@pytest.mark.parametrize("gamma", [0, -1, 1, float("nan"), float("inf")])
def test_a_gamma_that_changes_nothing_or_all_is_refused(gamma: float) -> None:
    with pytest.raises(UserError, match=r"augmentation\.gamma="):
        Gamma(gamma)


def test_samples_stay_and_digests_tell_image_and_change() -> None:
    digests, name = FileDigests(None), SCANS.samples[0].id
    changed = AugmentedDataset(SCANS, Gamma(0.8))
    assert changed.samples == SCANS.samples
    assert (changed.read_image(name) == Gamma(0.8)(SCANS.read_image(name))).all()
    of = [
        data.image_digest(sample.id, digests)
        for data in (SCANS, changed, AugmentedDataset(SCANS, Gamma(0.7)))
        for sample in SCANS.samples
    ]
    assert len(set(of)) == len(of)
    assert changed.image_digest(name, digests) == AugmentedDataset(
        PhantomDataset(seed=2, count=1), Gamma(0.8)
    ).image_digest(name, digests)
    assert changed.identity(name) != SCANS.identity(name)
    assert not changed.has_ground_truth
    with pytest.raises(UserError, match="has no true mask"):
        changed.read_ground_truth(name)


def test_the_configuration_makes_it_of_the_runs_own_images(tmp_path: Path) -> None:
    cfg = composed("data.count=1", "augmentation.gamma=0.5", f"paths.outputs={tmp_path}")
    changed = build(auxiliary_data(cfg, "augmentation"))
    [sample] = changed.samples
    assert (changed.read_image(sample.id) == Gamma(0.5)(SCANS.read_image(sample.id))).all()
