"""Whether networks that have seen drawn scans alone meet other images: by their records, never by pixels."""

from collections.abc import Sequence

from medsam_exp.data.augmented import AugmentedDataset
from medsam_exp.data.file_dataset import FileDataset
from medsam_exp.data.phantom import DRAWN
from medsam_exp.engine.leakage import Learnt, datasets_of
from medsam_exp.engine.plan import Plan
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import Dataset

_PUBLISHED = {
    "clip": ("CLIP", "biomedclip", "clip=biomedclip"),
    "sam": ("SAM", "sam_vit_b", "sam=vit_b"),
}
"""By config group: the network, published weights of such networks in the catalogue, and the choice that takes them."""
_HOLDER = "text_segmenter"
"""Config group whose networks may hold one of these within."""


def caution(plan: Plan, learnt: Sequence[Learnt]) -> str:
    """What must stand beside results of networks that know drawn scans alone, on images that were not drawn.

    Weights without a record may have learnt from anything, so nothing is said of them.

    Args:
        plan: of a run.
        learnt: what its weights have learnt from, and what its own stages learn from.

    Returns:
        One sentence with the way to other weights; "" where there is nothing to say.
    """
    used = {group for row in plan.rows.values() for group in row.weights}
    if _HOLDER in used:
        used |= {group for group in _PUBLISHED if plan.cfg[_HOLDER].get(group) is not None}
    of_group = {
        group: [each for each in learnt if _is_of(each, group)] for group in _PUBLISHED if group in used
    }
    only_drawn = [group for group, sources in of_group.items() if _only_drawn(sources)]
    if not only_drawn or all(map(_is_drawn, datasets_of(plan).values())):
        return ""
    names, weights, choices = zip(*(_PUBLISHED[group] for group in only_drawn), strict=True)
    return (
        f"{' and '.join(names)} {'were' if len(names) > 1 else 'was'} trained on synthetic scans only: masks of real "
        f"images are not meaningful. Fetch published weights with `medsam-exp weights get {' '.join(weights)}`, then "
        f"use {' '.join(choices)}."
    )


def _is_of(learnt: Learnt, group: str) -> bool:
    """Whether it is of the network of a config group; one within another is known by the stage that trained it."""
    stage = STAGES.get(learnt.stage)
    return learnt.group == group or (
        learnt.group in ("", _HOLDER) and stage is not None and stage.trains == group
    )


def _only_drawn(sources: list[Learnt]) -> bool:
    """Whether weights that were random at first have learnt from drawn scans and nothing else."""
    identities = [identity for source in sources for identity in source.images.identities.values()]
    return any(source.from_scratch for source in sources) and all(
        identity.startswith(DRAWN) for identity in identities
    )


def _is_drawn(dataset: Dataset) -> bool:
    """Whether every image of a dataset was drawn by the project, as the dataset or the image's own file says."""
    if isinstance(dataset, AugmentedDataset):
        return _is_drawn(dataset.data)
    if isinstance(dataset, FileDataset):
        return all(dataset.is_drawn(sample.id) for sample in dataset.samples)
    return all(dataset.identity(sample.id).startswith(DRAWN) for sample in dataset.samples)
