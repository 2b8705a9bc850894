"""Does the chosen SAM understand what it is asked to do? Functions `(cfg) -> list of sentences`."""

from omegaconf import DictConfig

from medsam_exp.config.build import build
from medsam_exp.types import UserError


def points_are_understood(cfg: DictConfig) -> list[str]:
    """MedSAM was trained on boxes; points would mean nothing to it."""
    if "sam_mask" not in cfg.stages or not _gives_points(cfg):
        return []
    from medsam_exp.sam.families import FAMILIES  # needs segment_anything, which is slow to import

    family = FAMILIES.get(cfg.sam.get("architecture"))
    if family is None or family.takes_points:
        return []
    architecture, method = cfg.sam.architecture, str(cfg.prompt["_target_"]).split(".")[-2]
    return [f"sam={architecture} understands boxes only, but prompt={method} gives points; use prompt=box"]


def _gives_points(cfg: DictConfig) -> bool:
    try:
        return bool(getattr(build(cfg.prompt), "gives_points", False))
    except UserError:
        return False  # another check says why it cannot be made


def training_needs_metas_framing(cfg: DictConfig) -> list[str]:
    """The training of a SAM makes its masks and prompts for images that are padded, not squashed."""
    if "train_sam" not in cfg.stages:
        return []
    from medsam_exp.sam.families import FAMILIES  # needs segment_anything, which is slow to import

    family = FAMILIES.get(cfg.sam.get("architecture"))
    if family is None or family.pads:
        return []
    architecture = cfg.sam.architecture
    return [f"train_sam cannot train {architecture}, which squashes images; choose sam=vit_b or sam=tiny"]
