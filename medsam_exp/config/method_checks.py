"""Do the chosen methods fit the networks, data and other methods of a run? Functions (cfg) -> sentences."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig

from medsam_exp.config.build import build
from medsam_exp.config.trials import shares_images
from medsam_exp.masks.presence.calibrated import PACKAGED
from medsam_exp.masks.presence.calibration import read_calibration
from medsam_exp.masks.presence.features import FEATURES
from medsam_exp.nnunet.uncertainty.scores import SCORES
from medsam_exp.stages.pipeline import STAGES, readers, trainers
from medsam_exp.types import UserError


def saliency_fits_network(cfg: DictConfig) -> Iterator[str]:
    """The vision tower must offer what the saliency method looks at."""
    for method in _saliency_methods(cfg).values():
        target = method["_target_"]
        if needs := getattr(get_object(target), "needs", None):
            from medsam_exp.clip.load import vision_layout  # needs open_clip, which is slow to import

            who = target.rpartition(".")[2]
            if problem := vision_layout(cfg.clip.model).refusal(needs, f"saliency {who}"):
                yield problem


def layer_within_network(cfg: DictConfig) -> Iterator[str]:
    """The saliency's layer must be one of the vision tower's, and its patches must reach the embedding."""
    if any(saliency_fits_network(cfg)):
        return
    for key, method in _saliency_methods(cfg).items():
        if (layer := method.get("layer")) is not None:
            from medsam_exp.clip.load import vision_layout  # needs open_clip, which is slow to import

            if problem := vision_layout(cfg.clip.model).layer_problem(layer):
                yield f"{key}.layer={layer}, but {cfg.clip.model} {problem}"


def windows_within_grid(cfg: DictConfig) -> Iterator[str]:
    """No window of patches may be larger than the grid of patches."""
    if any(saliency_fits_network(cfg)):
        return
    for key, method in _saliency_methods(cfg).items():
        if windows := method.get("windows"):
            from medsam_exp.clip.load import patch_grid  # needs open_clip, which is slow to import

            grid = patch_grid(cfg.clip.model, cfg.clip.get("image_size"))
            if max(windows) > min(grid):
                yield (
                    f"{key}.windows has {max(windows)}, but {cfg.clip.model} has {grid[0]} x {grid[1]} patches; "
                    "leave it out"
                )


def _saliency_methods(cfg: DictConfig) -> dict[str, DictConfig]:
    """The saliency method and those that it wraps, by key; none where no stage reads it."""
    methods, key, method = {}, "saliency", cfg.saliency if readers(cfg.stages, "saliency") else None
    while method is not None:
        methods[key] = method
        key, method = f"{key}.inner", method.get("inner")
    return methods


def millimetres_need_a_spacing(cfg: DictConfig) -> Iterator[str]:
    """A tolerance in mm can only be measured where the size of a pixel is known."""
    if cfg.metrics.get("tolerance_unit") == "mm" and cfg.data.get("spacing_mm") is None:
        yield "metrics.tolerance_unit=mm, but data.spacing_mm is not set; set it, or use metrics.tolerance_unit=px"


def class_name_needs_a_target(cfg: DictConfig) -> Iterator[str]:
    """The text that only names the target needs to know it."""
    if readers(cfg.stages, "saliency", "text_segmenter") and "target" in cfg.text and not cfg.text.target:
        yield "text=class_name, but data.target is not set; say what to find (data.target='breast tumor')"


def text_segmenter_can_answer(cfg: DictConfig) -> Iterator[str]:
    """Thresholds are compared with numbers in (0, 1); a detector has at least one box, and no map for a fusion."""
    if not readers(cfg.stages, "text_segmenter"):
        return
    for key in ("threshold", "mask_threshold"):
        value = cfg.text_segmenter.get(key)
        if value is not None and not 0 < value < 1:
            yield f"text_segmenter.{key}={value}, but it must be above 0 and below 1"
    if (boxes := cfg.text_segmenter.get("boxes", 1)) < 1:
        yield f"text_segmenter.boxes={boxes}, but it must be at least 1"
    fusion = cfg.text_segmenter.get("fusion")
    if fusion is not None and hasattr(get_object(fusion["_target_"]), "on_map"):
        yield (
            "text_segmenter.fusion asks for a saliency map, which a detector's boxes do not come with; choose another "
            "fusion, such as fusion=best_iou, or another one for the detector alone: "
            "text_segmenter.fusion._target_=medsam_exp.sam.fusion.best_iou.BestIou"
        )


def absent_targets_need_descriptions(cfg: DictConfig) -> Iterator[str]:
    """Drawn scans whose truth is empty because their own description asks for something absent."""
    asks = cfg.data.get("absent_fraction", 0.0)
    on_samples = any(STAGES[name].scope == "samples" for name in cfg.stages if name in STAGES)
    own = "_target_" in cfg.text and getattr(get_object(cfg.text["_target_"]), "is_own_description", False)
    if asks and on_samples and not own:
        yield (
            f"data.absent_fraction={asks} holds for the scans' own descriptions; use text=description, or set it to 0"
        )


def retrieval_has_something_to_find(cfg: DictConfig) -> Iterator[str]:
    """Retrieval needs pairs that exist, and more than one of them at a time."""
    if not readers(cfg.stages, "retrieval"):
        return
    part, parts = cfg.retrieval.part, [name for name in cfg.pairs if cfg.pairs[name] is not None]
    if "_target_" not in cfg.pairs and part not in parts:
        yield f"retrieval.part={part}, but pairs has only {', '.join(map(str, parts))}"
    for key, least in {"batch_size": 2, "shuffles": 1}.items():
        if cfg.retrieval[key] < least:
            yield f"retrieval.{key}={cfg.retrieval[key]}, but it must be at least {least}"


def review_by_a_known_score(cfg: DictConfig) -> Iterator[str]:
    """The list to review is ordered by a score that every image has."""
    if "nnunet_ensemble" in cfg.stages and cfg.review.by not in SCORES:
        yield f"review.by={cfg.review.by}, but the scores are {', '.join(SCORES)}"


def prompts_are_understood(cfg: DictConfig) -> Iterator[str]:
    """MedSAM was trained on boxes, and transformers' networks are not asked with masks."""
    prompter = _prompter(cfg) if readers(cfg.stages, "prompt") else None
    points, masks = (bool(getattr(prompter, name, False)) for name in ("gives_points", "gives_masks"))
    if not points and not masks:
        return
    from medsam_exp.sam.families import FAMILIES  # needs segment_anything, which is slow to import

    family = FAMILIES.get(cfg.sam.get("architecture"))
    if family is None:
        return
    architecture, method = cfg.sam.architecture, str(cfg.prompt["_target_"]).split(".")[-2]
    if points and not family.framing.takes_points:
        yield f"sam={architecture} understands boxes only, but prompt={method} gives points; use prompt=box"
    if masks and not family.model.takes_masks:
        yield (
            f"sam={architecture} is not asked with masks here, but prompt={method} gives them; use prompt=box, or a "
            "network of segment-anything's (sam=vit_b, vit_l, vit_h)"
        )


def alternatives_are_chosen_from(cfg: DictConfig) -> Iterator[str]:
    """Several prompts for one object need a fusion that looks at all their masks."""
    prompter = _prompter(cfg) if readers(cfg.stages, "prompt") else None
    if getattr(prompter, "alternatives", 1) == 1 or get_object(cfg.fusion["_target_"]).multimask:
        return
    method = str(cfg.prompt["_target_"]).split(".")[-2]
    yield (
        f"prompt={method} asks several times for each region, of which fusion=single would take the first alone; "
        "choose another fusion, such as fusion=map_agreement"
    )


def _prompter(cfg: DictConfig) -> Any:
    try:
        return build(cfg.prompt)
    except UserError:
        return None  # another check says why it cannot be made


def veto_has_its_score(cfg: DictConfig) -> Iterator[str]:
    """A veto by presence needs the presence score before it."""
    if cfg.veto.get("threshold") is None:
        return
    if not 0 <= cfg.veto.threshold <= 1:
        yield f"veto.threshold={cfg.veto.threshold}, but it is compared with a score in [0, 1]"
    stages = list(cfg.stages)
    for stage in sorted(readers(stages, "veto")):
        if "presence" not in stages[: stages.index(stage)]:
            yield f"veto=presence needs the stage 'presence' before {stage!r} in stages"


def calibration_spares_the_test_split(cfg: DictConfig) -> Iterator[str]:
    """What is calibrated on the test split would be tested on what it has seen."""
    if not readers(cfg.stages, "calibration"):
        return
    if cfg.data.get("split") == "test":
        yield (
            f"calibrate would read the masks of the test split of {cfg.data.name}; "
            "give another one (data.split=val, data=phantom_calibration)"
        )
    if hasattr(get_object(cfg.presence["_target_"]), "network"):
        yield (
            "calibrate fits a score to CLIP's features of image and text, which this presence score has not; use "
            "presence=clip_contrast"
        )
    if cfg.calibration.folds < 2:
        yield f"calibration.folds={cfg.calibration.folds}, but it must be at least 2"
    if cfg.calibration.regularization <= 0:
        yield f"calibration.regularization={cfg.calibration.regularization}, but it must be above 0"
    if unknown := sorted(set(cfg.calibration.features) - set(FEATURES)):
        yield f"calibration.features has {', '.join(unknown)}; choose from {', '.join(FEATURES)}"


def calibrated_elsewhere(cfg: DictConfig) -> Iterator[str]:
    """A calibration holds for its own CLIP, and must not be scored on the masks that it was fitted to."""
    if not readers(cfg.stages, "presence") or "file" not in cfg.presence:
        return
    file = cfg.presence.file
    trained = bool(trainers(cfg.stages, "clip"))
    if file is None and (cfg.clip.model, cfg.clip.weights, trained) != ("tiny", None, False):
        yield (
            "presence=calibrated without a file holds for clip=tiny only; calibrate for this CLIP "
            "('stages=[saliency,presence,calibrate]') and give presence.file, or use presence=clip_contrast"
        )
        return
    path = PACKAGED if file is None else Path(file).expanduser()
    if not readers(cfg.stages, "metrics") or not path.is_file():  # a missing file is named where it is read
        return
    made = read_calibration(path).provenance
    if shares_images(str(made["data"]), str(made["split"]), cfg.data):
        yield (
            f"presence.file={path} was fitted to the masks of {made['data']} ({made['split']}), the images that this "
            "run would score; score others, or calibrate on others"
        )
