"""Small pictures for the report's image browser: each image once, and what each run found in it as outlines over it."""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from hydra.errors import HydraException
from matplotlib import colormaps
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from medsam_exp.artifacts import StageArtifacts
from medsam_exp.build import build
from medsam_exp.report.panels import COLOUR_MAP
from medsam_exp.stages.evaluate import MASK_STAGES
from medsam_exp.sweep.read import Job
from medsam_exp.types import Dataset, Mask, SaliencyMap, UserError

_SIDE, _QUALITY = 224, 62  # pixels of a thumbnail's longer side, and its WebP quality: 2 to 8 KB
_MAP_SIDE, _MAP_QUALITY = 48, 60  # a saliency map is smooth
_ROUGHNESS = 0.003  # of the longer side; an outline is this close to its mask's border
_RECORD = re.compile(r"(.+)\.([0-9a-f]{12})\.json")


@dataclass
class Pictures:
    """What the browser shows, JSON-able.

    Attributes:
        images: by id: thumbnail as a data URI, width and height of the original, outline of the true mask.
        layers: stage -> key -> id -> outline of a mask, or data URI of a saliency map.
        prompts: key of sam_mask -> id -> boxes and points, in pixels.
        remarks: what could not be shown, one sentence each.
    """

    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    layers: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    prompts: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def draw_images(jobs: Sequence[Job], sample_ids: Iterable[str], budget: int) -> Pictures:
    """Draw images until they take as much room as they may.

    Args:
        jobs: finished, all over the same images.
        sample_ids: the most telling first.
        budget: characters of all pictures together.
    """
    found = Pictures()
    stages = _stored_stages(jobs)
    try:
        dataset = _dataset(jobs[0])
    except (UserError, OSError, HydraException, OmegaConfBaseException) as error:
        found.remarks.append(
            f"images cannot be shown, as they are not there any more: {str(error).splitlines()[0]}"
        )
        return found
    judged = dataset.has_ground_truth and "evaluate" in _keys(jobs[0])
    known, room, wanted = {sample.id for sample in dataset.samples}, budget, list(sample_ids)
    for sample_id in wanted:
        if sample_id not in known:
            continue
        truth = dataset.read_ground_truth(sample_id) if judged else None
        room -= _add(found, sample_id, dataset.read_image(sample_id), truth, stages)
        if room < 0:
            break
    if len(found.images) < len(wanted):
        found.remarks.append(
            f"{len(found.images)} of {len(wanted)} images are shown, those on which the runs differ most; "
            "all scores are in table.csv, all masks in the runs' folders"
        )
    return found


def outline(mask: Mask) -> str:
    """The border of an (H, W) mask as an SVG path in pixels, 0 at the image's left and upper edge; "" when empty."""
    tolerance = _ROUGHNESS * max(mask.shape)
    rounded = 1 if max(mask.shape) < 600 else None
    lines = []
    for line in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        simple = (
            approximate_polygon(line, tolerance) - 0.5
        )  # the padding's pixel, and half a pixel to its edge
        points = " ".join(f"{round(float(x), rounded):g} {round(float(y), rounded):g}" for y, x in simple)
        if len(simple) > 2:
            lines.append(f"M{points}z")
    return "".join(lines)


def _add(
    found: Pictures,
    sample_id: str,
    image: NDArray[np.uint8],
    truth: Mask | None,
    stages: Mapping[str, Mapping[str, StageArtifacts]],
) -> int:
    """Add one image with all that was found in it; return the characters that it takes."""
    height, width = image.shape[:2]
    source = _webp(Image.fromarray(image), _SIDE, _QUALITY)
    border = "" if truth is None else outline(truth)
    found.images[sample_id] = {"source": source, "width": width, "height": height, "truth": border}
    size = len(source) + len(border)
    for stage, by_key in stages.items():
        for key, artifacts in by_key.items():
            try:
                drawn = _drawn(stage, artifacts, sample_id)
                prompts = artifacts.info(sample_id)["prompts"] if stage == "sam_mask" else {}
            except (KeyError, OSError):
                continue
            found.layers.setdefault(stage, {}).setdefault(key, {})[sample_id] = drawn
            size += len(drawn) + len(sample_id) + 6
            if any(prompts.values()):
                found.prompts.setdefault(key, {})[sample_id] = prompts
                size += len(str(prompts))
    return size


def _drawn(stage: str, artifacts: StageArtifacts, sample_id: str) -> str:
    return (
        _saliency(artifacts.saliency_map(sample_id))
        if stage == "saliency"
        else outline(artifacts.mask(sample_id))
    )


def _saliency(saliency_map: SaliencyMap) -> str:
    small = Image.fromarray(saliency_map).resize(
        _size(saliency_map.shape[::-1], _MAP_SIDE), Image.Resampling.BOX
    )
    coloured = (
        (colormaps[COLOUR_MAP](np.clip(np.asarray(small), 0, 1))[..., :3] * 255).round().astype(np.uint8)
    )
    return _webp(Image.fromarray(coloured), _MAP_SIDE, _MAP_QUALITY)


def _webp(picture: Image.Image, side: int, quality: int) -> str:
    buffer = io.BytesIO()
    picture.resize(_size(picture.size, side), Image.Resampling.LANCZOS).save(
        buffer, "webp", quality=quality, method=4
    )
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _size(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """(width, height) whose longer side is at most `side`."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _stored_stages(jobs: Sequence[Job]) -> dict[str, dict[str, StageArtifacts]]:
    """What the runs stored, by stage and key; runs that share a key share it here too."""
    found: dict[str, dict[str, StageArtifacts]] = {}
    for job in jobs:
        for stage in ("saliency", *MASK_STAGES):
            key = _keys(job).get(stage)
            if key is None or key in found.get(stage, {}):
                continue
            root = _artifacts_root(job)
            if root is not None and (root / stage / key).is_dir():
                digests = _digests(root / stage / key)
                found.setdefault(stage, {})[key] = StageArtifacts(root, stage, key, digests)
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Digest of each sample's record; a sample whose image was changed meanwhile has several, and is left out."""
    found: dict[str, set[str]] = {}
    for path in folder.iterdir():
        if named := _RECORD.fullmatch(path.name):
            found.setdefault(unquote(named[1]), set()).add(named[2])
    return {sample_id: digests.pop() for sample_id, digests in found.items() if len(digests) == 1}


def _keys(job: Job) -> Mapping[str, str]:
    return job.run.summary.get("keys", {}) if job.run is not None else {}


def _configuration(job: Job) -> DictConfig:
    content = OmegaConf.load(job.folder / ".hydra" / "config.yaml")
    assert isinstance(content, DictConfig)
    return content


def _dataset(job: Job) -> Dataset:
    node = _configuration(job).get("data")
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise UserError(f"{job.folder} does not say what its data was")
    dataset: Dataset = build(node)
    return dataset


def _artifacts_root(job: Job) -> Path | None:
    try:
        return Path(_configuration(job).paths.artifacts)
    except (OSError, OmegaConfBaseException):
        return None
