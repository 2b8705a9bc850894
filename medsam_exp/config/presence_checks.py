"""Meaning checks of the presence score: a veto has what it reads, a calibration reads no test masks."""

from pathlib import Path

from omegaconf import DictConfig

from medsam_exp.config.trials import shares_images
from medsam_exp.masks.presence.calibrated import PACKAGED
from medsam_exp.masks.presence.calibration import read_calibration
from medsam_exp.masks.presence.features import FEATURES


def veto_has_its_score(cfg: DictConfig) -> list[str]:
    """A veto by presence needs the presence score before it."""
    if cfg.veto.get("threshold") is None:
        return []
    stages = list(cfg.stages)
    problems = []
    for stage in {"coarse_mask", "grounding"} & set(stages):
        if "presence" not in stages[: stages.index(stage)]:
            problems.append(f"veto=presence needs the stage 'presence' before {stage!r} in stages")
    if not 0 <= cfg.veto.threshold <= 1:
        problems.append(f"veto.threshold={cfg.veto.threshold}, but it is compared with a score in [0, 1]")
    return sorted(problems)


def calibration_spares_the_test_split(cfg: DictConfig) -> list[str]:
    """What is calibrated on the test split would be tested on what it has seen."""
    if "calibrate" not in cfg.stages:
        return []
    problems = []
    if cfg.data.get("split") == "test":
        problems.append(
            f"calibrate would read the masks of the test split of {cfg.data.name}; "
            "give another one (data.split=val, data=phantom_calibration)"
        )
    if cfg.calibration.folds < 2:
        problems.append(f"calibration.folds={cfg.calibration.folds}, but it must be at least 2")
    if cfg.calibration.regularization <= 0:
        problems.append(
            f"calibration.regularization={cfg.calibration.regularization}, but it must be above 0"
        )
    unknown = sorted(set(cfg.calibration.features) - set(FEATURES))
    if unknown:
        problems.append(f"calibration.features has {', '.join(unknown)}; choose from {', '.join(FEATURES)}")
    return problems


def calibrated_elsewhere(cfg: DictConfig) -> list[str]:
    """A calibration holds for its own CLIP, and must not be scored on the masks that it was fitted to."""
    if "presence" not in cfg.stages or "file" not in cfg.presence:
        return []
    file = cfg.presence.file
    if file is None and (cfg.clip.model, cfg.clip.weights, "finetune_clip" in cfg.stages) != (
        "tiny",
        None,
        False,
    ):
        return [
            "presence=calibrated without a file holds for clip=tiny only; calibrate for this CLIP "
            "('stages=[saliency,presence,calibrate]') and give presence.file, or use presence=clip_contrast"
        ]
    path = PACKAGED if file is None else Path(file).expanduser()
    if "evaluate" not in cfg.stages or not path.is_file():  # a missing file is named where it is read
        return []
    made = read_calibration(path).provenance
    if not shares_images(str(made["data"]), str(made["split"]), cfg.data):
        return []
    return [
        f"presence.file={path} was fitted to the masks of {made['data']} ({made['split']}), the images that this run "
        "would score; score others, or calibrate on others"
    ]
