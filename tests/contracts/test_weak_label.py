"""Every choice of conf/weak_label: a known source; of zero-shot masks one short reason or none, always the same."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from medsam_exp.config.build import build
from medsam_exp.config.signatures import signature_problems
from tests.compose import CONF
from tests.contracts.shapes import SHAPES
from tests.nnunet.weak_label.candidates import candidate

CHOICES = sorted(path.stem for path in (CONF / "weak_label").glob("*.yaml"))


@pytest.fixture(params=CHOICES)
def node(request: pytest.FixtureRequest, tmp_path):
    loaded = OmegaConf.load(CONF / "weak_label" / f"{request.param}.yaml")
    return (
        OmegaConf.merge(loaded, {"root": str(tmp_path)}) if OmegaConf.is_missing(loaded, "root") else loaded
    )


def _masks(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    empty, one, some = (np.zeros(shape, bool) for _ in range(3))
    one[shape[0] // 2, shape[1] // 2] = True
    some[: shape[0] // 2 + 1, : shape[1] // 2 + 1] = True
    return {"empty": empty, "full": ~empty, "one pixel": one, "some": some}


def test_the_yaml_fits_the_signature(node) -> None:
    assert list(signature_problems(OmegaConf.create({"weak_label": node}))) == []


def test_the_source_is_known_and_only_zero_shot_policies_judge_masks(node) -> None:
    policy = build(node)
    assert policy.source in {"zero_shot", "folder", "ground_truth"}
    assert callable(policy) == (policy.source == "zero_shot")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_mask_gets_a_short_reason_or_none(node, shape: tuple[int, int]) -> None:
    policy = build(node)
    if policy.source != "zero_shot":
        pytest.skip("reads masks from elsewhere")
    for mask in _masks(shape).values():
        for facts in ({}, {"iou_predictions": (0.1, 0.9)}, {"presence": 0.0}, {"coarse_mask": ~mask}):
            given = candidate(mask.copy(), **facts)
            reason = policy(given)
            assert reason is None or (0 < len(reason) < 200 and "\n" not in reason)
            assert reason == build(node)(given)
            np.testing.assert_array_equal(given.mask, mask)


def test_what_everything_speaks_for_is_kept(node) -> None:
    policy = build(node)
    if policy.source == "zero_shot":
        mask = np.zeros((40, 60), bool)
        mask[10:20, 10:30] = True
        assert policy(candidate(mask)) is None
