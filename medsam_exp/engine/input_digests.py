"""Hashes of what samples are made of: image, text, mask; they enter keys and file names of artifacts."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from medsam_exp.config.build import build
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.data.patients import patients_of_samples
from medsam_exp.engine.planned_objects import PlannedObjects
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import Dataset


def input_digests(
    cfg: DictConfig,
    stages: list[str],
    dataset: Dataset | None,
    texts: Mapping[str, tuple[str, ...]],
    digests: FileDigests,
    objects: PlannedObjects,
) -> dict[str, dict[str, str]]:
    """Digests of samples' own inputs, by what a stage works on and sample id."""
    inputs: dict[str, dict[str, str]] = {
        kind: {} for kind in ("samples", "images", "truth", "controls", "pairs", "dataset", "split")
    }
    inputs["parents"] = {"all": text_digest()}
    if any(STAGES[name].scope == "pairs" for name in stages):
        pairs = objects.to_plan_with("pairs")
        given = [part for _, part in sorted(pairs.items()) if part is not None]
        inputs["pairs"] = {"all": text_digest(*(part.digest(digests) for part in given))}
    if dataset is None:
        return inputs
    sample_ids = [sample.id for sample in dataset.samples]
    image_ids = {sample.id: sample.image for sample in dataset.samples}
    for name in sample_ids:
        image = dataset.image_digest(name, digests)
        inputs["samples"][name] = sample_digest(image, texts.get(name, ()))
        inputs["images"][name] = inputs["images"][image_ids[name]] = text_digest(image)
    if any(STAGES[name].digests == "controls" for name in stages):
        inputs["controls"] = _control_digests(cfg, dataset, texts, inputs["samples"])
    inputs["split"] = _split_digest(inputs["samples"], dataset)
    if dataset.has_ground_truth and any(stage_row(cfg, name).ground_truth for name in stages):
        for name in sample_ids:
            truth = dataset.ground_truth_digest(name, digests)
            spacing = str(dataset.pixel_spacing_mm(name))
            inputs["truth"][name] = text_digest(inputs["samples"][name], truth, spacing)
        inputs["dataset"] = {"all": text_digest(*inputs["truth"].values())}
        inputs["split"] = _split_digest(inputs["truth"], dataset)
    return inputs


def sample_digest(image: str, texts: Sequence[str]) -> str:
    """Digest of a sample's own inputs: that of its image, and its texts."""
    return text_digest(image, *texts)


def _split_digest(samples: Mapping[str, str], dataset: Dataset) -> dict[str, str]:
    """Digest of all samples, with the patients, who decide intervals and when a trial stops."""
    patients = patients_of_samples(dataset) or {}
    return {"all": text_digest(*samples.values(), *patients.values())}


def auxiliary_digests(
    dataset: Dataset, samples: Mapping[str, str], digests: FileDigests, *, truth: bool
) -> dict[str, str]:
    """Digests of images other than the run's own, and of their masks where these are read."""
    ids = [sample.id for sample in dataset.samples]
    found = {"samples": text_digest(*ids, *(samples[name] for name in ids))}
    if truth:
        found["truth"] = text_digest(*(dataset.ground_truth_digest(name, digests) for name in ids))
    return found


def _control_digests(
    cfg: DictConfig, dataset: Dataset, texts: Mapping[str, tuple[str, ...]], samples: Mapping[str, str]
) -> dict[str, str]:
    """Digests with each sample's control texts, which may come from other samples."""
    controls = build(cfg.grounding).bind(dataset.samples, texts, cfg.seed)
    return {
        name: text_digest(digest, *(text for kind in controls for text in controls[kind][name]))
        for name, digest in samples.items()
    }
