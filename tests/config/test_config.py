"""Every prepared configuration composes and passes its checks; every kind of mistake is one clear sentence."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig
from omegaconf.errors import ReadonlyConfigError

from medsam_exp.cli.compose import register
from medsam_exp.clip.capabilities import VisionLayout
from medsam_exp.config import checks
from medsam_exp.config.build import build
from medsam_exp.config.method_checks import (
    alternatives_are_chosen_from,
    prompts_are_understood,
    text_segmenter_can_answer,
)
from medsam_exp.config.schema import check
from medsam_exp.sam.prompt.on_image import prompter_of
from medsam_exp.types import UserError
from tests.compose import CONF, composed
from tests.conftest import ROOT

GROUPS = sorted(
    path.name
    for path in CONF.iterdir()
    if path.is_dir()
    and path.name not in {"hydra", "experiment", "sweep", "wandb_sweep", "component_ablation"}
)
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
ALONE = {"data", "postprocess", "prompt", "saliency", "search", "tuned", "veto"}
"""Groups whose choices have rules about other groups: each choice is checked by itself."""
CALIBRATE = ["stages=[saliency,presence,calibrate]", "data=phantom_calibration"]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """The folders that prepared experiments expect, empty."""
    prepared = ("breast_tumors", "brain_tumors", "lung_Xray", "lung_CT")
    for name in (*prepared, "biomedparse", "medsegbench", "medclipseg", "cvpr_text_3d"):
        (tmp_path / name / "test_images").mkdir(parents=True)
    return f"paths.data={tmp_path}"


@pytest.fixture
def any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """All networks, also those whose description lies on a hub, count as as deep as the deepest."""
    layout = VisionLayout(
        "VisionTransformer", 24, 22, frozenset({"features", "tokens", "blocks", "attention"})
    )
    monkeypatch.setattr("medsam_exp.clip.load.vision_layout", lambda _: layout)


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.usefixtures("any_depth")
def test_every_experiment_composes_and_passes_the_checks(name: str, layout: str) -> None:
    given = ["text.path=texts.json"] if "PerImage" in composed(f"+experiment={name}").text._target_ else []
    given += ["data.path=scan.png", "text.text=a mass"] if name == "one_image" else []
    given += ["postprocess=otsu"] if name.endswith("_v1") and not find_spec("pydensecrf") else []
    assert check(composed(f"+experiment={name}", layout, *given)).name == name


def given_for(group: str, choice: str, folder: Path) -> list[str]:
    """What a choice cannot do without."""
    needed = {
        ("data", "folder"): [f"data.root={folder}"],
        ("data", "image"): [f"data.path={folder}"],
        ("prompt", "jittered_boxes"): ["fusion=map_agreement"],
        ("prompt", "given"): ["prompt.prompts=[{points: [[3, 4, 1]]}]"],
        ("clip", "folder"): [f"clip.model={folder}"],
        ("clip", "biomedclip_finetuned"): [f"clip.weights={folder}"],
        ("pairs", "csv"): ["pairs.train.file=pairs.csv"],
        ("weak_label", "folder"): [f"weak_label.root={folder}"],
        ("veto", "presence"): ["stages=[saliency,presence,coarse_mask]"],
        ("text", "free"): ["text.text=a mass"],
        ("text", "per_image"): ["text.path=texts.json"],
        ("text", "index"): ["data=folder", f"data.root={folder}"],
        ("text", "windows"): ["text.source.path=texts.json"],
    }
    if (group, choice) in {("postprocess", "crf"), ("postprocess", "crf_v1")}:
        pytest.importorskip("pydensecrf.densecrf", reason="pydensecrf is not installed (make setup-crf)")
    return needed.get((group, choice), [])


@pytest.mark.parametrize(("group", "choice"), [choice for choice in CHOICES if choice[0] in ALONE])
@pytest.mark.usefixtures("any_depth")
def test_every_choice_fits_the_signature_of_its_target(
    group: str, choice: str, layout: str, tmp_path: Path
) -> None:
    check(composed(f"{group}={choice}", layout, *given_for(group, choice, tmp_path)))


@pytest.mark.integration
@pytest.mark.parametrize(("group", "choice"), [choice for choice in CHOICES if choice[0] not in ALONE])
@pytest.mark.usefixtures("any_depth")
def test_every_choice_fits_the_others_of_the_default_configuration(
    group: str, choice: str, layout: str, tmp_path: Path
) -> None:
    check(composed(f"{group}={choice}", layout, *given_for(group, choice, tmp_path)))


@pytest.mark.usefixtures("any_depth")
def test_choices_fit_the_signatures_of_their_targets_together(layout: str, tmp_path: Path) -> None:
    """Row n takes the nth choice of each group, over and over where a group has few: each choice is in some row."""
    files = {group: [file for of, file in CHOICES if of == group] for group in GROUPS if group not in ALONE}
    wrong = []
    for number in range(max(map(len, files.values()))):
        row = [(group, choices[number % len(choices)]) for group, choices in files.items()]
        given = [value for group, choice in row for value in given_for(group, choice, tmp_path)]
        overrides = [f"{group}={choice}" for group, choice in row]
        try:
            check(composed("~tuned/network", layout, *overrides, *given))
        except (UserError, ConfigCompositionException) as error:
            wrong.append(f"{' '.join(overrides)}: {error}")
    assert not wrong


def test_every_choice_begins_with_a_line_that_says_what_it_is() -> None:
    wrong = []
    for group, choice in CHOICES:
        first = (CONF / group / f"{choice}.yaml").read_text().splitlines()[0]
        if not first.startswith("# ") or len(first) <= 15:
            wrong.append(f"{group}/{choice}.yaml begins with {first!r}")
    assert not wrong


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["+saliency.betta=1"], "saliency.betta is not an option of M2IB"),
        (["saliency.beta=strong"], "saliency.beta is 'strong', which is not a valid float"),
        (["saliency.beta=true"], "saliency.beta is True, which is not a valid float"),
        (["saliency.steps='5'"], "saliency.steps is '5', which is not a valid int"),
        (
            ["trainer.accelerator=/etc/passwd"],
            "trainer.accelerator=/etc/passwd is no kind of device; choose from auto",
        ),
        (["presence._target_=abc"], "presence._target_ names abc, which is neither a class nor a function"),
        (["name=../evil"], "name=../evil leads out of the folder of runs"),
        (["saliency.steps=2.5"], "saliency.steps is 2.5, which is not a valid int"),
        (["~sam.architecture"], "sam.architecture is not set"),
        (
            ["~data.name"],
            "data.name is not set, and calibration.data refers to it: add `name: ...` to the YAML of data",
        ),
        (["saliency.layer=99"], "saliency.layer=99, but tiny has"),
        (["saliency.layer=-1"], "counted from 0 to"),
        (
            ["clip=openai_vit_b16", "saliency.layer=11"],
            "read from the class token; the largest useful layer is 10",
        ),
        (["clip=openai_rn50"], "saliency M2IB needs a plain vision transformer, but clip.model has"),
        (["clip=openai_rn50", "saliency=attention_rollout"], "of kind ModifiedResNet; choose another clip"),
        (["clip=openai_rn50", "saliency=gradcam", "saliency.layer=4"], "RN50-quickgelu has 4 layers"),
        (["clip=openai_rn50", "saliency=pad"], "saliency M2IB needs a plain vision transformer"),
        (
            ["saliency=winclip", "saliency.windows=[2,13]"],
            "saliency.windows has 13, but tiny has 12 x 12 patches",
        ),
        (
            ["saliency=affinity", "saliency@saliency.inner=intensity"],
            "saliency.inner is Intensity, which gives no",
        ),
        (["saliency=affinity", "saliency.inner.layer=99"], "saliency.inner.layer=99, but tiny has"),
        (["data=folder", "data.root=/no/such/place"], "data.root=/no/such/place is not a folder"),
        (["data=folder"], "data.root is not set"),
        (["pairs=csv"], "pairs.train.file is not set"),
        (["pairs=roco", "pairs.train.part=test"], "choose from train, validation, all"),
        (["pairs=medpix", "pairs.train.limit=few"], "pairs.train.limit is 'few'"),
        (["stages=[saliency,coarse_masc]"], "'coarse_masc', which does not exist; there are finetune_clip"),
        (["stages=[coarse_mask]"], "stage 'coarse_mask' needs 'saliency' before it"),
        (["stages=[saliency,saliency]"], "stages names 'saliency' twice"),
        (["stages=[evaluate]"], "stage 'evaluate' needs one of"),
        (["stages=[]"], "stages is empty"),
        (["batch_size.sam_mask=0"], "batch_size.sam_mask=0, but it must be at least 1"),
        (["workers=-1"], "workers=-1, but it cannot be negative"),
        (["trainer.devices=2"], "trainer.devices=2 needs a distributed strategy; use trainer=ddp"),
        (["metrics.tolerance_unit=mm"], "metrics.tolerance_unit=mm, but data.spacing_mm is not set"),
        (["data=folder", f"data.root={CONF}", "text=class_name"], "data.target is not set"),
        (
            ["stages=[retrieval]", "retrieval.part=test"],
            "retrieval.part=test, but pairs has only train, validation",
        ),
        (
            ["stages=[retrieval]", "pairs.validation=null"],
            "retrieval.part=validation, but pairs has only train",
        ),
        (
            ["stages=[retrieval]", "retrieval.batch_size=1"],
            "retrieval.batch_size=1, but it must be at least 2",
        ),
        (
            ["+experiment=phantom_weak", "review.by=dsc"],
            "review.by=dsc, but the scores are entropy_inside",
        ),
        (["stages=[retrieval]", "retrieval.shuffles=0"], "retrieval.shuffles=0, but it must be at least 1"),
        (["batch_size.retrieval=0"], "batch_size.retrieval=0, but it must be at least 1"),
        (["batch_size.faithfulness=0"], "batch_size.faithfulness=0, but it must be at least 1"),
        (["stages=[faithfulness]"], "stage 'faithfulness' needs 'saliency' before it"),
        (["+text_saliency.betta=1"], "text_saliency.betta is not an option of M2IBText"),
        (["fit.validate_every=0"], "fit.validate_every=0, but it must be at least 1"),
        (["fit.chunk_size=0"], "fit.chunk_size=0, but it must be at least 1"),
        (["stages=[finetune_clip]", "fit.batch_size=1"], "fit.batch_size=1, but a contrastive loss needs"),
        (["stages=[finetune_clip]", "+trainer.max_epochs=1"], "trainer.max_epochs has no effect"),
        (["stages=[train_sam]", "+trainer.fast_dev_run=true"], "use fit.epochs=1 and fewer pairs or images"),
        (["+fusion.iterations=3"], "fusion.iterations is not an option of SingleMask"),
        (["mask_filter=largest", "mask_filter.count=two"], "mask_filter.count is 'two'"),
        (["veto=presence"], "veto=presence needs the stage 'presence' before 'coarse_mask' in stages"),
        (["stages=[saliency,coarse_mask,presence]", "veto=presence"], "before 'coarse_mask'"),
        (["stages=[saliency,presence]", "veto=presence", "veto.threshold=2"], "veto.threshold=2, but"),
        (
            ["stages=[saliency,presence,calibrate]", "data=phantom_presence"],
            "would read the masks of the test split of phantom_presence",
        ),
        (
            [*CALIBRATE, "calibration.folds=1"],
            "calibration.folds=1, but it must be at least 2",
        ),
        ([*CALIBRATE, "calibration.regularization=0"], "calibration.regularization=0.0, but"),
        ([*CALIBRATE, "calibration.features=[mach]"], "calibration.features has mach; choose from match"),
        (["data=phantom_calibration", "text=class_name"], "holds for the scans' own descriptions"),
        (
            ["stages=[saliency,presence,evaluate]", "data=phantom_calibration", "presence=calibrated"],
            "was fitted to the masks of phantom_calibration (seed 101), the images that this run would score",
        ),
        (
            ["stages=[saliency,presence]", "presence=calibrated", "clip=tiny_random"],
            "presence=calibrated without a file holds for clip=tiny only",
        ),
        (["stages=[saliency,text_saliency]", "text_saliency.beta=-1"], "text_saliency"),
        (
            ["stages=[tune]", "search=phantom", "veto=presence"],
            "of tune: veto=presence needs the stage 'presence'",
        ),
        (["batch_size.presence=0"], "batch_size.presence=0, but it must be at least 1"),
        (["trainer.devices=many"], "trainer.devices="),
        (
            ["component_filter.count=0"],
            "component_filter: count is 0, but the filter must keep at least one region",
        ),
        (["postprocess=threshold", "postprocess.value=2"], "postprocess.value is 2"),
        (["prompt=both", "prompt.points.count=0"], "`count` of the prompt's foreground points is 0"),
        (["prompt.jitter=0.5"], "`jitter` of the prompt's boxes is 0.5"),
        (["sam._target_=medsam_exp.sam.nowhere.load"], "which cannot be imported"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_mistake_is_one_clear_sentence(overrides: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check(composed(*overrides))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


GIVEN = "prompt.prompts=[{box: [1, 2, 30, 40]%s}]"
PROMPTS = {
    choice: [GIVEN % ", points: [[9, 9, 1]]"] if choice == "given" else []
    for choice in sorted(path.stem for path in (CONF / "prompt").glob("*.yaml"))
}


@pytest.mark.parametrize("choice", PROMPTS)
@pytest.mark.parametrize("sam", ["medsam", "sam_med2d", "vit_b"])
def test_points_are_refused_before_anything_is_computed_where_they_mean_nothing(
    choice: str, sam: str
) -> None:
    cfg = composed(f"sam={sam}")
    cfg.prompt = composed(f"prompt={choice}", *PROMPTS[choice]).prompt
    read = lambda: np.zeros((64, 64), np.float32), lambda: np.zeros((64, 64, 3), np.uint8)
    prompter = prompter_of(build(cfg.prompt), *read)
    drawn = prompter(np.eye(64, dtype=bool), np.random.default_rng(0)).point_coords is not None
    assert build(cfg.prompt).gives_points == drawn
    method = cfg.prompt["_target_"].split(".")[-2]
    said = [f"sam={sam} understands boxes only, but prompt={method} gives points; use prompt=box"]
    assert list(prompts_are_understood(cfg)) == (said if drawn and sam == "medsam" else [])


def test_boxes_that_are_given_are_understood_by_all() -> None:
    assert not list(prompts_are_understood(composed("sam=medsam", "prompt=given", GIVEN % "")))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("text_segmenter.threshold=1.5", "text_segmenter.threshold=1.5, but it must be above 0 and below 1"),
        ("text_segmenter.boxes=0", "text_segmenter.boxes=0, but it must be at least 1"),
        ("fusion=map_agreement", "text_segmenter.fusion asks for a saliency map"),
    ],
)
def test_a_text_segmenter_that_cannot_answer_is_refused_before_it_is_loaded(changed: str, said: str) -> None:
    cfg = composed("text_segmenter=owlv2", "stages=[text_mask]", changed)
    (line,) = text_segmenter_can_answer(cfg)
    assert line.startswith(said)
    assert not list(text_segmenter_can_answer(composed("text_segmenter=owlv2", "stages=[text_mask]")))


@pytest.mark.parametrize("prompt", ["map", "map_and_box", "fed_back"])
@pytest.mark.parametrize("sam", ["sam2_tiny", "vit_b"])
def test_mask_prompts_that_the_network_is_not_asked_with_are_refused(sam: str, prompt: str) -> None:
    said = f"sam=sam2_tiny is not asked with masks here, but prompt={prompt} gives them; use prompt=box"
    found = [
        line.partition(", or")[0]
        for line in prompts_are_understood(composed(f"sam={sam}", f"prompt={prompt}"))
    ]
    assert found == ([said] if sam == "sam2_tiny" else [])


def test_boxes_to_choose_from_need_a_fusion_that_chooses() -> None:
    (line,) = alternatives_are_chosen_from(composed("prompt=jittered_boxes"))
    assert line.startswith("prompt=jittered_boxes asks several times for each region, of which fusion=single")
    (line,) = alternatives_are_chosen_from(composed("prompt=fed_back", "prompt@prompt.inner=jittered_boxes"))
    assert line.startswith("prompt=fed_back asks several times")
    assert not list(alternatives_are_chosen_from(composed("prompt=jittered_boxes", "fusion=map_agreement")))
    assert not list(alternatives_are_chosen_from(composed("prompt=box")))


def test_a_wrong_prompt_is_one_sentence() -> None:
    cfg = composed("sam=medsam", "prompt=given", "prompt.prompts=[{box: [a, b, c, d]}]")
    with pytest.raises(
        UserError, match=r"prompt\.prompts\[0\] has the box \['a', 'b', 'c', 'd'\], but"
    ) as caught:
        check(cfg)
    assert "\n" not in str(caught.value)


def test_sam_med2d_brings_its_published_fusion_unless_another_is_chosen() -> None:
    assert composed("sam=sam_med2d").fusion._target_.endswith("BestIou")
    assert composed("+experiment=busi_zeroshot", "sam=sam_med2d").fusion._target_.endswith("BestIou")
    assert composed("sam=sam_med2d", "fusion=single").fusion._target_.endswith("SingleMask")
    assert composed("sam=medsam").fusion._target_.endswith("SingleMask")


@pytest.mark.parametrize(
    "override", ["seed=abc", "stagess=[]", "saliency.betta=1", "saliency=no_such_method"]
)
def test_hydra_refuses_unknown_keys_types_and_choices(override: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        composed(override)
    assert isinstance(caught.value, ConfigCompositionException) or "no_such_method" in str(caught.value)


def test_a_checked_configuration_is_read_only() -> None:
    cfg = check(composed())
    with pytest.raises(ReadonlyConfigError):
        cfg.saliency.beta = 3.0


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "demo" else pytest.mark.integration) for name in EXPERIMENTS],
)
def test_a_method_swap_leaks_no_numbers(name: str) -> None:
    """An experiment only selects, so the other method never receives the first one's settings."""
    assert "beta" not in composed(f"+experiment={name}", "saliency=intensity").saliency


@pytest.mark.parametrize("rule", checks.MEANING_CHECKS, ids=lambda rule: rule.__name__)
def test_every_rule_passes_the_default_configuration(rule) -> None:
    cfg: DictConfig = composed()
    assert list(rule(cfg)) == []


@pytest.mark.parametrize("words", [("+experiment=demo", "--cfg", "job"), ("--help",)])
def test_what_only_composes_does_not_wait_for_torch(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-X", "importtime", "run.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "omegaconf" in imported
    assert not imported & {"torch", "scipy", "pandas"}


@pytest.mark.parametrize(
    ("typed", "score"),
    [
        ([], "Calibrated"),
        (["+experiment=one_image", "data.path=a.png", "text.text=a"], "Calibrated"),
        (["presence=clip_contrast"], "ClipContrast"),
        (["clip=biomedclip"], "ClipContrast"),
        (["clip=tiny_random"], "ClipContrast"),
        (["+experiment=phantom_grounding", "clip=biomedclip"], "Calibrated"),
    ],
)
def test_a_network_brings_the_presence_score_that_is_calibrated_for_it(typed: list[str], score: str) -> None:
    assert composed(*typed).presence["_target_"].endswith(f".{score}")


def test_the_folder_of_a_run_says_what_it_does() -> None:
    register()
    for overrides, folder in (
        (["data=phantom", "saliency=gradcam", "seed=7"], "phantom-tiny-gradcam-kmeans-box-tiny-7"),
        (["data=phantom", "~sam"], "phantom-tiny-m2ib-kmeans-box-0"),
    ):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides, return_hydra_config=True)
        assert Path(cfg.hydra.run.dir).name.endswith(f"_{folder}")
