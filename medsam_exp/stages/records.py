"""The records that stages write and other stages, the summary and the report read, by field."""

from typing import Any, NotRequired, TypedDict, cast

import numpy as np

from medsam_exp.types import Prompts

Scores = dict[str, dict[str, float]]
"""What is scored ("coarse", "presence") -> measure -> number."""


class Scored(TypedDict):
    """Of every stage with `gives_scores`."""

    scores: Scores


class CutRecord(TypedDict, total=False):
    """Of texts longer than the network's context, where there are any; see `text_truncation`."""

    cut_texts: list[dict[str, Any]]


class Frame(TypedDict):
    """How a stored grid becomes a map; see `medsam_exp.saliency.geometry.from_stored_grid`.

    Attributes:
        geometry: its name.
        size: (H, W) of the original frame.
        network_size: (h, w) of the network's input, where the geometry asks for it.
    """

    geometry: str
    size: list[int]
    network_size: NotRequired[list[int]]


class MapRecord(TypedDict):
    """Of what was stored as grids, not as maps in the original frame."""

    frame: NotRequired[Frame]


class SaliencyRecord(CutRecord, MapRecord):
    """Of one map.

    Attributes:
        texts: that were asked for.
        presence: 1 where the map is not zero everywhere, else 0.
        peak_x: column of its largest value, pixels of the original frame.
        peak_y: row of it.
        relevance: features of the relevance before it became a map, by name.
    """

    texts: list[str]
    presence: float
    peak_x: int
    peak_y: int
    relevance: dict[str, float]


class ControlRecord(MapRecord):
    """Of the maps of one image's control texts, by kind of control."""

    texts: dict[str, list[str]]
    relevance: dict[str, dict[str, float]]


class PresenceRecord(Scored, CutRecord):
    """Of one image and text: the score in [0, 1], and which texts were cut by a network that reads them itself."""

    score: float


class FeaturePresenceRecord(PresenceRecord):
    """Also the features of CLIP that the score is made from, and that network's fingerprint."""

    features: dict[str, float]
    network: str


class CoarseRecord(TypedDict):
    """Of one coarse mask: whether a veto emptied it, whether it has foreground (0 or 1), its pixels."""

    vetoed: bool
    presence: float
    area_px: int


class PromptRecord(TypedDict):
    """Prompts as lists, original frame; see `medsam_exp.types.Prompts`."""

    boxes_xyxy: list[list[float]] | None
    point_coords: list[list[list[float]]] | None
    point_labels: list[list[int]] | None


def prompt_record(prompts: Prompts) -> PromptRecord:
    """Prompts as JSON-able lists."""
    arrays = {name: getattr(prompts, name) for name in PromptRecord.__annotations__}
    lists = {name: None if array is None else array.tolist() for name, array in arrays.items()}
    return cast(PromptRecord, lists)


def prompts_of(record: PromptRecord) -> Prompts:
    """Prompts from what `prompt_record` made of them."""
    boxes, coords, labels = (record[key] for key in ("boxes_xyxy", "point_coords", "point_labels"))
    return Prompts(
        boxes_xyxy=None if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4),
        point_coords=None if coords is None else np.asarray(coords, np.float32),
        point_labels=None if labels is None else np.asarray(labels, np.int64),
    )


class SamRecord(TypedDict):
    """Of one SAM mask: predicted IoU of each prompt's mask, and of the proposals that it was fused from."""

    presence: float
    iou_predictions: list[float]
    prompts: PromptRecord
    proposal_iou_predictions: NotRequired[list[list[float]]]


class TextMaskRecord(CutRecord):
    """Of one text-prompted mask: presence in [0, 1], and boxes (pixels, original frame) of networks that find objects.

    Attributes:
        texts: that were asked for.
        presence: mean of the texts'.
        boxes_xyxy: N.
        scores: N, in [0, 1].
    """

    texts: list[str]
    presence: float
    boxes_xyxy: list[list[float]]
    scores: list[float]


class LabelRecord(TypedDict):
    """Of a set of labels: nnU-Net's raw dataset below the stage's folder, whose masks they are, what was dropped.

    Attributes:
        raw: dataset's folder.
        data: name of the images' dataset.
        split: of it.
        source: "zero_shot", "earlier_network", "folder" or "ground_truth".
        labels: value of each class, background's too.
        channels: of the images.
        kept: ids of the images.
        dropped: reasons by id.
        unknown: share of the kept images' pixels from which nothing is learnt.
        weights: of the kept images, in proportion to which they are drawn; empty where all have the same.
    """

    raw: str
    data: str
    split: str
    source: str
    labels: dict[str, int]
    channels: list[str]
    kept: list[str]
    dropped: dict[str, str]
    unknown: float
    weights: dict[str, float]


class TrainedRecord(TypedDict):
    """Of a training: the network's file or folder below the stage's folder, its last figures, its files' CRC-32."""

    results: str
    figures: dict[str, float]
    notes: NotRequired[list[str]]
    files: NotRequired[dict[str, int]]


class NnunetTrainedRecord(TrainedRecord):
    """Of a training of nnU-Net: its folds, the epochs of its snapshots, whether cases were held out."""

    folds: list[str]
    snapshots: list[int]
    validation: bool


class ChosenRecord(TypedDict):
    """Of `calibrate_ensemble`: the threshold and temperature, and what they reached on which images."""

    data: str
    split: str
    images: int
    threshold: float
    temperature: float
    temperature_ci95: tuple[float, float] | None
    dsc: float
    dsc_at_half: float
