"""Meaning checks of the presence score: a veto has what it reads, a calibration reads no test masks."""

from omegaconf import DictConfig


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
    return problems
