"""One label map per image from the masks of its classes."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask, Sample, UserError

LabelMap = NDArray[np.uint8]
"""(H, W) uint8, 0 background, 1 to K the classes; original frame."""

SINGLE_CLASS = "target"
_LARGEST_VALUE = 254  # nnU-Net writes labels of 255 and more as 16-bit files
IGNORE = "ignore"
"""nnU-Net's name of the label of unknown pixels: nothing is learnt from them, and it is never predicted."""
_NNUNETS_OWN = frozenset({"background", IGNORE})


def label_map(
    masks: Mapping[int | None, Mask], priority: Mapping[int | None, float] | None = None
) -> LabelMap:
    """Combine the masks of an image's classes; the order of the mappings does not matter.

    Args:
        masks: (H, W) bool by label value (1 to 254), all of one size; that of None stands for no class: background.
        priority: by label value; a pixel of several masks goes to the one with the highest (SAM's predicted IoU), of
            equals to the lowest label value. None where masks do not overlap, or the lowest value has the pixel.

    Raises:
        ValueError: there is no mask, a value or size does not fit, or a priority is missing or not a number.
    """
    if not masks or len({mask.shape for mask in masks.values()}) != 1:
        raise ValueError(f"masks of one size are needed, not {[mask.shape for mask in masks.values()]}")
    values = sorted(value for value in masks if value is not None)
    if not all(1 <= value <= _LARGEST_VALUE for value in values):
        raise ValueError(f"label values are 1 to {_LARGEST_VALUE}, not {values}")
    rank = dict.fromkeys(masks, 0.0) if priority is None else priority
    if not all(value in rank and not np.isnan(rank[value]) for value in values):
        raise ValueError(f"each of the label values {values} needs a priority, not {dict(rank)}")
    combined = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for value in sorted(values, key=lambda value: (rank[value], -value)):
        combined[masks[value]] = value
    return combined


def foreground_classes(class_names: Iterable[str | None]) -> dict[str, int]:
    """Label values by class: background 0, then the classes in the order in which they first come.

    Args:
        class_names: of a dataset, in its own order; repetitions do not count. Without any name there is one class,
            "target".

    Raises:
        UserError: some samples have a class and some have none, a name is nnU-Net's own, or there are too many.
    """
    names = list(dict.fromkeys(class_names))
    if names in ([], [None]):
        names = [SINGLE_CLASS]
    if None in names:
        known = ", ".join(name for name in names if name is not None)
        raise UserError(
            f"some images have a class ({known}) and others have none: give all of them one, or none"
        )
    reserved = [name for name in names if name in _NNUNETS_OWN]
    if reserved:
        raise UserError(f"a class cannot be called {reserved[0]}, which nnU-Net uses itself: rename it")
    if len(names) > _LARGEST_VALUE:
        raise UserError(f"{len(names)} classes are more than the {_LARGEST_VALUE} that label files can hold")
    return {"background": 0} | {name: value for value, name in enumerate(names, 1) if name is not None}


def labels_with_ignore(labels: Mapping[str, int]) -> dict[str, int]:
    """Label values with that of unknown pixels, the highest, as nnU-Net wants it.

    Args:
        labels: of background and classes, 0 to K.

    Raises:
        UserError: no value is left for it.
    """
    if len(labels) > _LARGEST_VALUE:
        raise UserError(
            f"{len(labels) - 1} classes leave no value for unknown pixels in label files: take label_ignore=none"
        )
    return dict(labels) | {IGNORE: len(labels)}


def by_image(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Group samples by image id, in order."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.image, []).append(sample)
    return found


def label_value(labels: Mapping[str, int], sample: Sample) -> int | None:
    """Value of a sample's class in label maps; of several classes None for a scan that shows none of them.

    Args:
        labels: value of each class by name, the background's among them.
        sample: whose class.

    Raises:
        UserError: the labels have no such class.
    """
    values = {name: value for name, value in labels.items() if value}
    if len(values) == 1 and (sample.image_id is None or sample.class_name not in values):
        return next(iter(values.values()))
    if sample.class_name is None:
        return None
    if sample.class_name not in values:
        raise UserError(
            f"{sample.id} asks for {sample.class_name}, but the network's classes are {', '.join(values)}; name the "
            "classes of data and train_data alike"
        )
    return values[sample.class_name]
