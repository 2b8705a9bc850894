"""Checks of datasets and of sources of texts."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from medsam_exp.runtime.digests import FileDigests
from medsam_exp.testing.expectation import about, built, contract, expect
from medsam_exp.types import Dataset, Sample, TextSource

_ATTRIBUTES = {
    "name": str,
    "split": str,
    "has_ground_truth": bool,
    "classes_are_true": bool,
    "label_names": tuple,
    "notes": tuple,
}


def check_dataset(dataset: Dataset | Any, samples: int = 3) -> None:
    """Check a dataset: unique ids in order, images and masks of one frame, digests that tell samples apart.

    Args:
        dataset: the object, or a configuration node that describes it; the node is also built twice, as results of
            one process must be found by the next.
        samples: how many, from the first on, are read.

    Raises:
        AssertionError: says what it does not keep.
    """
    _check_dataset(dataset, built(dataset), samples)


@contract
def _check_dataset(made: Dataset, again: Dataset, samples: int) -> None:
    ids = [sample.id for sample in made.samples]
    expect(ids, "there are no samples")
    expect(len(set(ids)) == len(ids), "ids of samples must be unique")
    expect(ids == sorted(ids), "samples must be in the order of their ids")
    expect(made.samples == again.samples, "a second object has other samples")
    for attribute, kind in _ATTRIBUTES.items():
        value = getattr(made, attribute, None)
        expect(isinstance(value, kind), f"{attribute} is {value!r}, but must be a {kind.__name__}")
    identities: dict[str, bytes] = {}
    for sample in made.samples[:samples]:
        with about(f"sample {sample.id!r}"):
            _check_sample(made, again, sample)
            pixels = made.read_image(sample.id).tobytes()
            same = identities.setdefault(made.identity(sample.id), pixels) == pixels
            expect(same, "other pixels than those of a sample of equal identity")


def _check_sample(made: Dataset, again: Dataset, sample: Sample) -> None:
    image = made.read_image(sample.id)
    fits = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    expect(fits, f"the image is {image.shape}, {image.dtype}, but it must be (H, W, 3) uint8")
    expect(np.array_equal(again.read_image(sample.id), image), "other pixels the second time")
    spacing = made.pixel_spacing_mm(sample.id)
    fits = spacing is None or (len(spacing) == 2 and min(spacing) > 0)
    expect(fits, f"the spacing is {spacing!r}, but it must be (row, column) in mm or None")
    digests = [each.image_digest(sample.id, FileDigests()) for each in (made, again)]
    expect(isinstance(digests[0], str) and digests[0], "the image's digest must be a text")
    expect(digests[0] == digests[1], "another digest of the image the second time")
    expect(made.identity(sample.id) == again.identity(sample.id), "another identity the second time")
    if not made.has_ground_truth:
        return
    mask = made.read_ground_truth(sample.id)
    fits = mask.shape == image.shape[:2] and mask.dtype == np.bool_
    expect(fits, f"the mask is {mask.shape}, {mask.dtype}, but the image needs {image.shape[:2]} bool")
    expect(np.array_equal(again.read_ground_truth(sample.id), mask), "another mask the second time")
    truths = [each.ground_truth_digest(sample.id, FileDigests()) for each in (made, again)]
    expect(truths[0] == truths[1], "another digest of the mask the second time")


@contract
def check_text(source: TextSource | Any, /, samples: Sequence[Sample], *, exchanges: bool = False) -> None:
    """Check a source of texts: one or more for each sample, whatever the order; labels used only where declared.

    Args:
        source: the object, or a configuration node that describes it.
        samples: with the classes and descriptions that the source refers to.
        exchanges: the texts of an image are those of another one, so that fewer images have other texts.
    """
    texts = source.bind(samples)
    ids = {sample.id for sample in samples}
    expect(set(texts) == ids, f"no texts for samples {sorted(ids - set(texts))[:3]}")
    expect(source.bind(samples) == texts, "other texts the second time")
    expect(source.bind(samples[::-1]) == texts, "texts depend on the order of the samples")
    for sample_id, own in texts.items():
        with about(f"sample {sample_id!r}"):
            expect(isinstance(own, tuple) and own, f"texts are {own!r}, not a tuple with at least one")
            expect(all(text and text == text.strip() for text in own), "a text is empty or padded")
            expect(len(set(own)) == len(own), "a text is given twice")
    if not exchanges:
        expect(source.bind([]) == {}, "no samples must give no texts")
        first = samples[0].id
        expect(source.bind(samples[:1]) == {first: texts[first]}, "a text depends on other samples")
    declared = bool(source.tells) is source.uses_class_labels
    expect(declared, "`tells` must say what a text gives away exactly where uses_class_labels is True")
    if source.uses_class_labels:
        return
    pairs = zip(samples, [*samples[1:], samples[0]], strict=True)
    others = (
        [dataclasses.replace(own, class_name=other.class_name) for own, other in pairs],
        [dataclasses.replace(own, class_name=None, contradiction=None) for own in samples],
    )
    unused = all(source.bind(changed) == texts for changed in others)
    expect(unused, "other class labels give other texts, but uses_class_labels is False")
