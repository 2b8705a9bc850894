"""Do the chosen methods fit the networks, data and other methods of a run? Functions `(cfg) -> list of sentences`."""

from pathlib import Path

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import build
from medsam_exp.config.trials import shares_images
from medsam_exp.masks.presence.calibrated import PACKAGED
from medsam_exp.masks.presence.calibration import read_calibration
from medsam_exp.masks.presence.features import FEATURES
from medsam_exp.nnunet.uncertainty.scores import SCORES
from medsam_exp.stages.pipeline import STAGES, readers, trainers
from medsam_exp.types import UserError


def saliency_fits_network(cfg: DictConfig) -> list[str]:
    """The vision tower must offer what the saliency method looks at."""
    needs = getattr(get_object(cfg.saliency["_target_"]), "needs", None)
    if needs is None or not readers(cfg.stages, "saliency"):
        return []
    from medsam_exp.clip.load import vision_layout  # needs open_clip, which is slow to import

    who = cfg.saliency["_target_"].rpartition(".")[2]
    problem = vision_layout(cfg.clip.model).refusal(needs, f"saliency {who}")
    return [problem] if problem else []


def layer_within_network(cfg: DictConfig) -> list[str]:
    """The saliency's layer must be one of the vision tower's, and its patches must reach the embedding."""
    layer = OmegaConf.select(cfg, "saliency.layer")
    if layer is None or saliency_fits_network(cfg) or not readers(cfg.stages, "saliency"):
        return []
    from medsam_exp.clip.load import vision_layout  # needs open_clip, which is slow to import

    problem = vision_layout(cfg.clip.model).layer_problem(layer)
    return [f"saliency.layer={layer}, but {cfg.clip.model} {problem}"] if problem else []


def millimetres_need_a_spacing(cfg: DictConfig) -> list[str]:
    """A tolerance in mm can only be measured where the size of a pixel is known."""
    if cfg.metrics.get("tolerance_unit") != "mm" or cfg.data.get("spacing_mm") is not None:
        return []
    return [
        "metrics.tolerance_unit=mm, but data.spacing_mm is not set; set it, or use metrics.tolerance_unit=px"
    ]


def class_name_needs_a_target(cfg: DictConfig) -> list[str]:
    """The text that only names the target needs to know it."""
    if not readers(cfg.stages, "saliency") or "target" not in cfg.text or cfg.text.target:
        return []
    return ["text=class_name, but data.target is not set; say what to find (data.target='breast tumor')"]


def absent_targets_need_descriptions(cfg: DictConfig) -> list[str]:
    """Drawn scans whose truth is empty because their own description asks for something absent."""
    asks = cfg.data.get("absent_fraction", 0.0)
    on_samples = any(STAGES[name].scope == "samples" for name in cfg.stages if name in STAGES)
    own = "_target_" in cfg.text and getattr(get_object(cfg.text["_target_"]), "is_own_description", False)
    if not asks or not on_samples or own:
        return []
    return [
        f"data.absent_fraction={asks} holds for the scans' own descriptions; use text=description, or set it to 0"
    ]


def retrieval_has_something_to_find(cfg: DictConfig) -> list[str]:
    """Retrieval needs pairs that exist, and more than one of them at a time."""
    if not readers(cfg.stages, "retrieval"):
        return []
    part, parts = cfg.retrieval.part, [name for name in cfg.pairs if cfg.pairs[name] is not None]
    problems = []
    if "_target_" not in cfg.pairs and part not in parts:
        problems.append(f"retrieval.part={part}, but pairs has only {', '.join(map(str, parts))}")
    smallest = {"batch_size": 2, "shuffles": 1}
    return problems + [
        f"retrieval.{key}={cfg.retrieval[key]}, but it must be at least {least}"
        for key, least in smallest.items()
        if cfg.retrieval[key] < least
    ]


def review_by_a_known_score(cfg: DictConfig) -> list[str]:
    """The list to review is ordered by a score that every image has."""
    score = cfg.review.by
    if "nnunet_ensemble" not in cfg.stages or score in SCORES:
        return []
    return [f"review.by={score}, but the scores are {', '.join(SCORES)}"]


def points_are_understood(cfg: DictConfig) -> list[str]:
    """MedSAM was trained on boxes; points would mean nothing to it."""
    if not readers(cfg.stages, "prompt") or not _gives_points(cfg):
        return []
    from medsam_exp.sam.families import FAMILIES  # needs segment_anything, which is slow to import

    family = FAMILIES.get(cfg.sam.get("architecture"))
    if family is None or family.framing.takes_points:
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
    if not trainers(cfg.stages, "sam"):
        return []
    from medsam_exp.sam.families import FAMILIES  # needs segment_anything, which is slow to import

    family = FAMILIES.get(cfg.sam.get("architecture"))
    if family is None or family.framing.pads:
        return []
    architecture = cfg.sam.architecture
    return [f"train_sam cannot train {architecture}, which squashes images; choose sam=vit_b or sam=tiny"]


def veto_has_its_score(cfg: DictConfig) -> list[str]:
    """A veto by presence needs the presence score before it."""
    if cfg.veto.get("threshold") is None:
        return []
    stages = list(cfg.stages)
    problems = []
    for stage in readers(stages, "veto"):
        if "presence" not in stages[: stages.index(stage)]:
            problems.append(f"veto=presence needs the stage 'presence' before {stage!r} in stages")
    if not 0 <= cfg.veto.threshold <= 1:
        problems.append(f"veto.threshold={cfg.veto.threshold}, but it is compared with a score in [0, 1]")
    return sorted(problems)


def calibration_spares_the_test_split(cfg: DictConfig) -> list[str]:
    """What is calibrated on the test split would be tested on what it has seen."""
    if not readers(cfg.stages, "calibration"):
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
    if not readers(cfg.stages, "presence") or "file" not in cfg.presence:
        return []
    file = cfg.presence.file
    trained = bool(trainers(cfg.stages, "clip"))
    if file is None and (cfg.clip.model, cfg.clip.weights, trained) != ("tiny", None, False):
        return [
            "presence=calibrated without a file holds for clip=tiny only; calibrate for this CLIP "
            "('stages=[saliency,presence,calibrate]') and give presence.file, or use presence=clip_contrast"
        ]
    path = PACKAGED if file is None else Path(file).expanduser()
    if not readers(cfg.stages, "metrics") or not path.is_file():  # a missing file is named where it is read
        return []
    made = read_calibration(path).provenance
    if not shares_images(str(made["data"]), str(made["split"]), cfg.data):
        return []
    return [
        f"presence.file={path} was fitted to the masks of {made['data']} ({made['split']}), the images that this run "
        "would score; score others, or calibrate on others"
    ]
