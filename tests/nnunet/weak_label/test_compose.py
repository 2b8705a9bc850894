"""Label maps against a loop over pixels, in every order of the classes."""

import itertools

import numpy as np
import pytest

from medsam_exp.nnunet.weak_label.compose import (
    by_image,
    foreground_classes,
    label_map,
    label_value,
    labels_with_ignore,
)
from medsam_exp.types import Sample, UserError


def _plainly(masks: dict[int, np.ndarray], priority: dict[int, float]) -> np.ndarray:
    shape = next(iter(masks.values())).shape
    label = np.zeros(shape, np.uint8)
    for pixel in np.ndindex(shape):
        claims = [value for value in masks if masks[value][pixel]]
        if claims:
            best = max(priority[value] for value in claims)
            label[pixel] = min(value for value in claims if priority[value] == best)
    return label


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("priorities", [(0.1, 0.9, 0.5), (0.5, 0.5, 0.5), (0.9, 0.2, 0.9), (-1.0, 0.0, 1.2)])
def test_every_order_gives_what_the_loop_gives(seed: int, priorities: tuple[float, ...]) -> None:
    generator = np.random.default_rng(seed)
    masks = {value: generator.random((7, 5)) < 0.6 for value in (1, 2, 7)}
    priority = dict(zip(masks, priorities, strict=True))
    expected = _plainly(masks, priority)
    for order in itertools.permutations(masks):
        combined = label_map({value: masks[value] for value in order}, priority)
        assert combined.dtype == np.uint8
        np.testing.assert_array_equal(combined, expected)


def test_one_mask_is_its_label_and_is_left_alone() -> None:
    mask = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(label_map({3: mask}, {3: 0.5}), np.eye(4) * 3)
    np.testing.assert_array_equal(mask, np.eye(4, dtype=bool))
    assert not label_map({1: np.zeros((3, 2), bool)}, {1: 0.0}).any()


@pytest.mark.parametrize(
    ("masks", "priority", "sentence"),
    [
        ({}, {}, "masks of one size"),
        ({1: np.zeros((2, 2), bool), 2: np.zeros((2, 3), bool)}, {1: 0, 2: 0}, "masks of one size"),
        ({0: np.zeros((2, 2), bool)}, {0: 0}, "label values are 1 to 254"),
        ({255: np.zeros((2, 2), bool)}, {255: 0}, "label values are 1 to 254"),
        ({1: np.zeros((2, 2), bool)}, {2: 0}, "needs a priority"),
        ({1: np.zeros((2, 2), bool)}, {1: float("nan")}, "needs a priority"),
    ],
)
def test_what_does_not_fit_is_refused(masks: dict, priority: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        label_map(masks, priority)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([], {"background": 0, "target": 1}),
        ([None, None], {"background": 0, "target": 1}),
        (["lung", "heart", "lung"], {"background": 0, "lung": 1, "heart": 2}),
    ],
)
def test_classes_are_numbered_as_they_come(names: list, labels: dict[str, int]) -> None:
    found = foreground_classes(iter(names))
    assert found == labels
    assert list(found.values()) == list(range(len(found)))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["lung", None], r"some images have a class \(lung\) and others have none"),
        (["ignore"], "cannot be called ignore"),
        (["background", "lung"], "cannot be called background"),
        ([str(number) for number in range(255)], "255 classes are more than the 254"),
    ],
)
def test_unusable_classes_are_refused(names: list, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        foreground_classes(names)


def test_a_scan_of_no_class_is_background_among_several_classes() -> None:
    labels, mask = {"background": 0, "liver": 1, "spleen": 2}, np.ones((2, 3), bool)
    normal = Sample("scan")
    assert label_value(labels, normal) is None
    assert not label_map({None: mask}).any()
    assert (label_map({None: mask, 2: mask}) == 2).all()
    assert label_value({"background": 0, "target": 1}, normal) == 1
    with pytest.raises(UserError, match="scan@kidney asks for kidney"):
        label_value(labels, Sample("scan@kidney", "kidney", image_id="scan"))


def test_samples_of_one_image_stand_together() -> None:
    samples = [Sample("a@x", "x", image_id="a"), Sample("b"), Sample("a@y", "y", image_id="a")]
    assert by_image(samples) == {"a": [samples[0], samples[2]], "b": [samples[1]]}


def test_unknown_pixels_have_the_highest_value() -> None:
    assert labels_with_ignore({"background": 0, "a": 1, "b": 2}) == {
        "background": 0,
        "a": 1,
        "b": 2,
        "ignore": 3,
    }
    many = foreground_classes([f"class {number}" for number in range(254)])
    assert labels_with_ignore({name: many[name] for name in list(many)[:-1]})["ignore"] == 254
    with pytest.raises(UserError, match="254 classes leave no value for unknown pixels"):
        labels_with_ignore(many)
