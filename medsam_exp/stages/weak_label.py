"""Stage: masks of training images become labels, as a raw dataset of nnU-Net's; a declared reader of ground truth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from medsam_exp.nnunet.raw_dataset import Case, write_raw_dataset
from medsam_exp.nnunet.verify import verify
from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.nnunet.weak_label.compose import (
    LabelMap,
    by_image,
    foreground_classes,
    label_map,
    label_value,
)
from medsam_exp.nnunet.weak_label.folder import FolderMasks, Wanted
from medsam_exp.runtime import distributed
from medsam_exp.stages.context import AuxiliaryImages, StageContext
from medsam_exp.stages.pipeline import mask_stages
from medsam_exp.stages.records import LabelRecord, PresenceRecord, SamRecord, TextMaskRecord
from medsam_exp.types import Dataset, Mask, Sample, UserError


def run(context: StageContext) -> None:
    """Write the labels of all images that the policy keeps, and say which it dropped and why.

    With several classes an image is dropped whole when one of its masks is: the missing class would be trained as
    background.

    Raises:
        UserError: a mask is missing or broken, or no label is left.
    """
    policy, other = context.build(context.artifacts.stage), context.auxiliary
    assert other is not None
    if distributed.rank() > 0:
        return
    labels = foreground_classes(other.dataset.label_names)
    reader = _READERS[policy.source](policy, other, labels)
    dropped: dict[str, str] = {}
    cases = _cases(other.dataset, reader, dropped)
    raw = write_raw_dataset(context.artifacts.folder, other.dataset.name, cases, labels)
    verify(raw, context.artifacts.folder / "nnunet.log")
    record: LabelRecord = {
        "raw": str(raw.folder.relative_to(context.artifacts.folder)),
        "data": other.dataset.name,
        "split": other.dataset.split,
        "source": policy.source,
        "labels": dict(raw.labels),
        "channels": list(raw.channels),
        "kept": sorted(raw.case_ids.values()),
        "dropped": dropped,
    }
    context.save("all", record)


_Reader = Callable[[str, Sequence[Sample]], LabelMap | str]
"""Gives the label of an image, by its id and samples, or says why there is none."""


def _cases(dataset: Dataset, reader: _Reader, dropped: dict[str, str]) -> Iterator[Case]:
    for image_id, samples in by_image(dataset.samples).items():
        label = reader(image_id, samples)
        if isinstance(label, str):
            dropped[image_id] = label
        else:
            yield Case(image_id, dataset.read_image(samples[0].id), label)
    if dropped and len(dropped) == len(by_image(dataset.samples)):
        first = next(iter(dropped.items()))
        raise UserError(
            f"all {len(dropped)} labels of {dataset.name} ({dataset.split}) were dropped, the first ({first[0]}) "
            f"because {first[1]}: loosen the limits of weak_label, or take weak_label=all"
        )


def _zero_shot(policy: Any, other: AuxiliaryImages, labels: Mapping[str, int]) -> _Reader:
    """Zero-shot masks that the policy does not drop; a pixel of several classes goes to the surest."""
    made = other.artifacts
    final = made[[name for name in mask_stages() if name in made][-1]]

    def certainty(found: Candidate) -> float:
        """What SAM expects of a mask, or the own presence of a network that made it from the text alone."""
        if final.stage == "text_mask":
            return final.record(found.sample_id, TextMaskRecord)["presence"]
        return min(found.iou_predictions, default=0.0)

    def candidate(sample: Sample) -> Candidate:
        name = sample.id
        sam = made["sam_mask"].record(name, SamRecord)["iou_predictions"] if "sam_mask" in made else []
        return Candidate(
            sample_id=name,
            image_id=sample.image,
            class_name=sample.class_name,
            mask=final.mask(name),
            coarse_mask=made["coarse_mask"].mask(name) if "coarse_mask" in made else None,
            iou_predictions=tuple(sam),
            presence=made["presence"].record(name, PresenceRecord)["score"] if "presence" in made else None,
        )

    def read(_: str, samples: Sequence[Sample]) -> LabelMap | str:
        masks: dict[int | None, Mask] = {}
        priority: dict[int | None, float] = {}
        for sample in samples:
            found = candidate(sample)
            reason = policy(found)
            if reason is not None:
                return str(reason) if len(samples) == 1 else f"{sample.class_name}: {reason}"
            value = label_value(labels, sample)
            masks[value] = found.mask
            priority[value] = certainty(found)
        return label_map(masks, priority)

    return read


def _folder(policy: FolderMasks, other: AuxiliaryImages, labels: Mapping[str, int]) -> _Reader:
    """Masks of a folder; all are read once before any is used."""
    names = [name for name, value in labels.items() if value]

    def wanted(image_id: str, samples: Sequence[Sample]) -> Wanted:
        """An image and its classes; none of a scan that shows none of them, which is all background."""
        height, width = other.dataset.read_image(samples[0].id).shape[:2]
        values = {sample.id: label_value(labels, sample) for sample in samples}
        ids = {value: sample_id for sample_id, value in values.items() if value is not None}
        return Wanted(image_id, (height, width), ids)

    def read(image_id: str, samples: Sequence[Sample]) -> LabelMap:
        image = wanted(image_id, samples)
        return policy.read(image, names) if image.samples else np.zeros(image.size, np.uint8)

    images = (wanted(*item) for item in by_image(other.dataset.samples).items())
    policy.check((image for image in images if image.samples), names)
    return read


def _ground_truth(_: Any, other: AuxiliaryImages, labels: Mapping[str, int]) -> _Reader:
    """True masks."""
    truth = other.dataset.read_ground_truth
    return lambda _, samples: label_map({label_value(labels, each): truth(each.id) for each in samples})


_READERS: dict[str, Any] = {"zero_shot": _zero_shot, "folder": _folder, "ground_truth": _ground_truth}
