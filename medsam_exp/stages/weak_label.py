"""Stage: masks of training images become labels, as a raw dataset of nnU-Net's; a declared reader of ground truth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medsam_exp.nnunet.label_ignore.none import NothingUnknown
from medsam_exp.nnunet.label_weight.equal import EqualWeight
from medsam_exp.nnunet.raw_dataset import Case, write_raw_dataset
from medsam_exp.nnunet.verify import verify
from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.nnunet.weak_label.compose import (
    IGNORE,
    LabelMap,
    by_image,
    foreground_classes,
    label_map,
    label_value,
    labels_with_ignore,
)
from medsam_exp.nnunet.weak_label.folder import FolderMasks, Wanted
from medsam_exp.runtime import distributed
from medsam_exp.stages.context import AuxiliaryImages, StageContext
from medsam_exp.stages.pipeline import STAGES, mask_stages
from medsam_exp.stages.records import LabelRecord, PresenceRecord, SamRecord, TextMaskRecord
from medsam_exp.types import Dataset, Mask, Sample, UserError


def run(context: StageContext) -> None:
    """Write the labels of all images that the policy keeps, and say which it dropped and why.

    With several classes an image is dropped whole when one of its masks is: the missing class would be trained as
    background.

    Raises:
        UserError: a mask is missing or broken, or no label is left.
    """
    row, other = STAGES[context.artifacts.stage], context.auxiliary
    policy = context.build(context.artifacts.stage)
    weak = "label_ignore" in row.reads  # a reference learns from every pixel, and from all images alike
    ignore = context.build("label_ignore") if weak else NothingUnknown()
    weight = context.build("label_weight") if weak else EqualWeight()
    assert other is not None
    if distributed.rank() > 0:
        return
    classes = foreground_classes(other.dataset.label_names)
    labels = labels_with_ignore(classes) if ignore.marks else classes
    reader = _READERS[policy.source](policy, other, classes)
    made = _Made()
    cases = _cases(other.dataset, reader, _Trust(ignore, weight, labels.get(IGNORE)), made)
    raw = write_raw_dataset(context.artifacts.folder, other.dataset.name, cases, labels)
    verify(raw, context.artifacts.folder / "nnunet.log")
    record: LabelRecord = {
        "raw": str(raw.folder.relative_to(context.artifacts.folder)),
        "data": other.dataset.name,
        "split": other.dataset.split,
        "source": _source(policy, other),
        "labels": classes,
        "channels": list(raw.channels),
        "kept": sorted(raw.case_ids.values()),
        "dropped": made.dropped,
        "unknown": float(np.mean(list(made.unknown.values()))),
        "weights": made.weights if len(set(made.weights.values())) > 1 else {},
    }
    context.save("all", record)


@dataclass(frozen=True)
class _Labelled:
    """A label map of the classes, and the masks that it was made of."""

    label: LabelMap
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class _Trust:
    """Which pixels are unknown, how much an image counts, and the value of unknown pixels (None: there are none)."""

    ignore: Callable[[Candidate], Mask]
    weight: Callable[[Candidate], float]
    ignore_value: int | None


@dataclass
class _Made:
    """By image id: why it was dropped; of those kept the share of unknown pixels, and the weight."""

    dropped: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)


_Reader = Callable[[str, Sequence[Sample]], _Labelled | str]
"""Gives the label of an image, by its id and samples, or says why there is none."""


def _cases(dataset: Dataset, reader: _Reader, trust: _Trust, made: _Made) -> Iterator[Case]:
    images = by_image(dataset.samples)
    for image_id, samples in images.items():
        found = reader(image_id, samples)
        if isinstance(found, str):
            made.dropped[image_id] = found
            continue
        unknown = np.zeros(found.label.shape, bool)
        if trust.ignore_value is not None:
            for candidate in found.candidates:
                unknown |= trust.ignore(candidate)
            found.label[unknown] = trust.ignore_value
        if unknown.all():
            made.dropped[image_id] = "no pixel's label is known"
            continue
        made.unknown[image_id] = float(unknown.mean())
        made.weights[image_id] = min(map(trust.weight, found.candidates), default=1.0)
        yield Case(image_id, dataset.read_image(samples[0].id), found.label)
    if made.dropped and len(made.dropped) == len(images):
        first = next(iter(made.dropped.items()))
        raise UserError(
            f"all {len(made.dropped)} labels of {dataset.name} ({dataset.split}) were dropped, the first ({first[0]}) "
            f"because {first[1]}: loosen the limits of weak_label or label_ignore, or take weak_label=all and "
            "label_ignore=none"
        )


def _source(policy: Any, other: AuxiliaryImages) -> str:
    """Whose masks they are; those of a network that an earlier run trained are no zero-shot ones."""
    earlier = policy.source == "zero_shot" and STAGES[_last_masks(other)].supervision != "none"
    return "earlier_network" if earlier else str(policy.source)


def _last_masks(other: AuxiliaryImages) -> str:
    """The stage whose masks become labels."""
    return [name for name in mask_stages() if name in other.artifacts][-1]


def _zero_shot(policy: Any, other: AuxiliaryImages, labels: Mapping[str, int]) -> _Reader:
    """Masks of this pipeline that the policy does not drop; a pixel of several classes goes to the surest."""
    made = other.artifacts
    final = made[_last_masks(other)]

    def certainty(found: Candidate) -> float:
        """What SAM expects of a mask, or the own presence of a network that made it from the text alone."""
        if final.stage == "text_mask":
            return final.record(found.sample_id, TextMaskRecord)["presence"]
        return min(found.iou_predictions, default=0.0)

    def candidate(sample: Sample) -> Candidate:
        name = sample.id
        of_sam = final.stage == "sam_mask"  # what SAM expects of its mask says nothing of another one
        sam = final.record(name, SamRecord)["iou_predictions"] if of_sam else []
        trained = STAGES[final.stage].supervision != "none"
        return Candidate(
            sample_id=name,
            image_id=sample.image,
            class_name=sample.class_name,
            mask=final.mask(name),
            coarse_mask=made["coarse_mask"].mask(name) if "coarse_mask" in made else None,
            iou_predictions=tuple(sam),
            presence=made["presence"].record(name, PresenceRecord)["score"] if "presence" in made else None,
            probability=final.maps(name)["probability"] if trained else None,
        )

    def read(_: str, samples: Sequence[Sample]) -> _Labelled | str:
        masks: dict[int | None, Mask] = {}
        priority: dict[int | None, float] = {}
        candidates = []
        for sample in samples:
            found = candidate(sample)
            reason = policy(found)
            if reason is not None:
                return str(reason) if len(samples) == 1 else f"{sample.class_name}: {reason}"
            value = label_value(labels, sample)
            masks[value] = found.mask
            priority[value] = certainty(found)
            if value is not None:  # else all of it is background, wherever a mask lies
                candidates.append(found)
        return _Labelled(label_map(masks, priority), candidates)

    return read


def _folder(policy: FolderMasks, other: AuxiliaryImages, labels: Mapping[str, int]) -> _Reader:
    """Masks of a folder, with a second one's beside them if there is one; all are read once before any is used."""
    names = [name for name, value in labels.items() if value]

    def wanted(image_id: str, samples: Sequence[Sample]) -> Wanted:
        """An image and its classes; none of a scan that shows none of them, which is all background."""
        height, width = other.dataset.read_image(samples[0].id).shape[:2]
        values = {sample.id: label_value(labels, sample) for sample in samples}
        ids = {value: sample_id for sample_id, value in values.items() if value is not None}
        return Wanted(image_id, (height, width), ids)

    def read(image_id: str, samples: Sequence[Sample]) -> _Labelled:
        image = wanted(image_id, samples)
        if not image.samples:
            return _Labelled(np.zeros(image.size, np.uint8), [])
        label = policy.read(image, names)
        second = None if policy.second is None else policy.second.read(image, names)
        candidates = [
            Candidate(
                sample_id=sample.id,
                image_id=image_id,
                class_name=sample.class_name,
                mask=label == value,
                coarse_mask=None if second is None else second == value,
            )
            for sample in samples
            if (value := label_value(labels, sample)) is not None
        ]
        return _Labelled(label, candidates)

    for folder in filter(None, (policy, policy.second)):
        images = (wanted(*item) for item in by_image(other.dataset.samples).items())
        folder.check((image for image in images if image.samples), names)
    return read


def _ground_truth(_: Any, other: AuxiliaryImages, labels: Mapping[str, int]) -> _Reader:
    """True masks."""

    def read(image_id: str, samples: Sequence[Sample]) -> _Labelled:
        truth = {each.id: other.dataset.read_ground_truth(each.id) for each in samples}
        candidates = [Candidate(each.id, image_id, each.class_name, truth[each.id]) for each in samples]
        return _Labelled(
            label_map({label_value(labels, each): truth[each.id] for each in samples}), candidates
        )

    return read


_READERS: dict[str, Any] = {"zero_shot": _zero_shot, "folder": _folder, "ground_truth": _ground_truth}
