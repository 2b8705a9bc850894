"""Nothing is measured on images that something before it learnt from, by content and not by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medsam_exp.cli.runner import _inputs, _scored_later, _with_tuning
from medsam_exp.config.schema import check
from medsam_exp.curation.quality.quick_check import find_leaks, refuse_leaky_training
from medsam_exp.data.csv_pairs import CsvPairs
from medsam_exp.engine.leakage import FILE, SHARED, refuse_learnt_images, remember
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import UserError
from tests.clean_data import Clean, lesion, scan
from tests.compose import composed

SAM = ("stages=[train_sam,saliency,coarse_mask,sam_mask,evaluate]", "sam=tiny_scratch", "saliency=intensity")
CLIP = ("stages=[finetune_clip,saliency,coarse_mask,evaluate]", "clip=tiny_random")
DRAWN = ("data=phantom", "data.count=3", "text=class_name")


def plan(tmp_path: Path, *overrides: str) -> dict[str, Path]:
    """Plan a run up to where it would begin to train; the folders of its stages."""
    cfg = check(composed(f"paths.outputs={tmp_path / 'outputs'}", *overrides))
    later, cfg = _scored_later(cfg), _with_tuning(cfg)
    dataset, texts, _ = _inputs(cfg, say_notes=False)
    planned = Plan(cfg, list(cfg.stages), dataset, texts, FileDigests(None))
    leaks = find_leaks(cfg, planned, FileDigests(None))
    learnt = refuse_learnt_images(cfg, planned, tmp_path, later)
    refuse_leaky_training(cfg, planned, leaks)
    remember(planned, learnt)
    return {name: artifacts.folder for name, artifacts in planned.artifacts.items()}


def refused(tmp_path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        plan(tmp_path, *overrides)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> tuple[str, ...]:
    """Six scans to train on, three to score; options of a run over them."""
    for number in range(9):
        split = "train" if number < 6 else "test"
        put(tmp_path / "data", split, f"{split}_{number}", number)
    return ("data=folder", f"data.root={tmp_path / 'data'}", "text=free", "text.text=a mass")


def put(root: Path, split: str, stem: str, number: int, suffix: str = "png") -> Path:
    for kind, values in (("images", scan(number)), ("masks", lesion(number))):
        path = root / f"{split}_{kind}" / f"{stem}.{suffix if kind == 'images' else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    return root / f"{split}_images" / f"{stem}.{suffix}"


def table(path: Path, images: list[Path]) -> Path:
    rows = [f'"{image}",a bright lesion of kind number {n}' for n, image in enumerate(images)]
    path.write_text("\n".join(["filename,Caption", *rows]))
    return path


def test_a_sam_is_not_scored_on_what_it_was_trained_on(folder: tuple[str, ...], tmp_path: Path) -> None:
    plan(tmp_path, *folder, *SAM)
    put(tmp_path / "data", "test", "renamed", 0, "tif")
    put(tmp_path / "data", "test", "renamed_again", 0)
    said = refused(tmp_path, *folder, *SAM)
    assert said.startswith(
        "2 of the 5 images of data (folder, test), which evaluate measures on, are among those of train_data "
        "(folder, train), which train_sam learns from (first: renamed = train_0, renamed_again = "
        "train_0): "
    )
    assert "data.exclude=" in said
    plan(tmp_path, *folder, *SAM, f"data.exclude={tmp_path / SHARED}")
    assert "++train_data.split=train" in refused(tmp_path, *folder, *SAM, "train_data.split=test")


def test_a_search_without_masks_learns_nothing_that_must_not_be_scored(
    folder: tuple[str, ...], tmp_path: Path
) -> None:
    tune = (*folder, "data.name=mine", "stages=[tune]", "~tuned/network")
    assert "the very images" in refused(tmp_path, *tune, "search.data.split=train", "data.split=train")
    kept = plan(tmp_path, *tune, "search.data.split=train")
    assert (kept["tune"] / FILE).is_file()
    free = plan(tmp_path, *tune, "search=no_masks")
    assert not (free["tune"] / FILE).exists()


def test_a_copy_in_another_dataset_is_found(folder: tuple[str, ...], tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "val", "copy", 7, "bmp")
    put(tmp_path / "elsewhere", "val", "other", 11)
    other = f"++train_data.root={tmp_path / 'elsewhere'}", "++train_data.name=mine", "train_data.split=val"
    assert "(first: test_7 = copy)" in refused(tmp_path, *folder, *SAM, *other)


def test_a_clip_is_not_scored_on_images_of_its_pairs(folder: tuple[str, ...], tmp_path: Path) -> None:
    seen, others = put(tmp_path / "x", "all", "seen", 8, "bmp"), put(tmp_path / "x", "all", "other", 20)
    pairs = ("pairs=csv", "pairs.train.part=all", "pairs.validation.part=all", "fit.batch_size=2")
    clean = f"pairs.train.file={table(tmp_path / 'clean.csv', [others])}"
    plan(tmp_path, *folder, *CLIP, *pairs, clean)
    both = f"pairs.train.file={table(tmp_path / 'both.csv', [others, seen])}"
    said = refused(tmp_path, *folder, *CLIP, *pairs, both)
    assert "(first: test_8 = " in said
    assert "seen.bmp)" in said
    assert "take their rows out of" in said


def test_retrieval_is_not_measured_on_copies_of_training_pairs(tmp_path: Path) -> None:
    a, b, c = (put(tmp_path / "x", "all", f"image_{n}", n) for n in range(3))
    copy = put(tmp_path / "y", "all", "copy", 1, "tif")
    pairs = [
        "clip=tiny_random", "pairs=csv", "pairs.train.part=all", "pairs.validation.part=all",
        f"pairs.train.file={table(tmp_path / 'train.csv', [a, b])}",
        f"pairs.validation.file={table(tmp_path / 'val.csv', [c, copy])}", "pairs.validation.root=null",
    ]  # fmt: skip
    said = refused(tmp_path, "stages=[finetune_clip,retrieval]", *pairs)
    assert "1 of the 2 images of pairs.validation, which retrieval measures on" in said
    assert "copy.tif = " in said
    plan(tmp_path, "stages=[retrieval,finetune_clip]", *pairs)  # of the network before the training
    table(tmp_path / "val.csv", [c])
    plan(tmp_path, "stages=[finetune_clip,retrieval]", *pairs)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((*DRAWN, *SAM), "++train_data.seed=5"),
        ((*DRAWN, *SAM, "++train_data.seed=5"), None),
        ((*DRAWN, *CLIP, "pairs.train.seed=2", "pairs.train.count=2"), "2 of the 3 images"),
        ((*DRAWN, *CLIP, "pairs.train.count=2"), None),
        (
            (
                "stages=[finetune_clip,retrieval]", "clip=tiny_random", "pairs.train.seed=5", "pairs.train.count=2",
                "pairs.validation.seed=5", "pairs.validation.count=2", "++calibration_data.seed=6",
            ),
            "as in pairs.train.seed=7",
        ),
        (("+experiment=phantom_finetune", "pairs.validation.seed=0"), "pairs.train, which finetune_clip"),
        (("+experiment=phantom_weak", "data.count=3", "train_data.seed=2"), "which weak_label learns from"),
        (("+experiment=phantom_weak", "data.count=3", "calibration_data.seed=2"), "which evaluate measures"),
        (("+experiment=phantom_weak", "data.count=3", "calibration_data.seed=31"), "calibrate_ensemble measures"),
        (("+experiment=phantom_weak", "data.count=3"), None),
        (
            (
                "data=phantom_calibration", "data.count=4", "text=description",
                "presence=clip_contrast", "stages=[saliency,presence,calibrate,coarse_mask,evaluate]",
            ),
            "which calibrate learns from",
        ),
        (("data=phantom_calibration", "data.count=4", "stages=[saliency,presence,calibrate]"), None),
        (("+experiment=tiny_sam", "data.count=4"), None),
    ],
)  # fmt: skip
def test_drawn_scans(overrides: tuple[str, ...], said: str | None, tmp_path: Path) -> None:
    if "phantom_weak" in overrides[0]:
        pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    if said is None:
        plan(tmp_path, *overrides)
    else:
        assert said in refused(tmp_path, *overrides)


def test_numbers_are_not_searched_on_copies_of_what_they_are_for(
    folder: tuple[str, ...], tmp_path: Path
) -> None:
    search = ("stages=[tune]", "data.name=mine")
    put(tmp_path / "data", "val", "own", 30)
    plan(tmp_path, *folder, *search)
    put(tmp_path / "data", "val", "copy", 6, "bmp")
    said = refused(tmp_path, *folder, *search)
    assert said.startswith(
        "1 of the 3 images of data (mine, test), which a later run measures on, are among those of search.data "
        "(mine, val), which tune learns from (first: test_6 = copy): "
    )
    assert said.endswith(
        f"++search.data.split=train, or leave them out, here and in later runs, with data.exclude={tmp_path / SHARED}"
    )
    assert (tmp_path / SHARED).read_text().split() == [
        "name,split,learnt_from,as",
        "test_6,test,search.data,copy",
    ]
    plan(tmp_path, *folder, *search, "++search.data.split=train")
    plan(tmp_path, *folder, *search, f"data.exclude={tmp_path / SHARED}")


def test_weights_of_an_earlier_run_are_remembered(folder: tuple[str, ...], tmp_path: Path) -> None:
    made = plan(tmp_path, *folder, "stages=[train_sam]", "sam=tiny_scratch")["train_sam"]
    (made / "sam.safetensors").write_bytes(b"weights")
    later = [*folder, *SAM[2:], "stages=[saliency,coarse_mask,sam_mask,evaluate]"]
    later += ["sam=tiny", f"sam.checkpoint={made / 'sam.safetensors'}"]
    plan(tmp_path, *later)
    put(tmp_path / "data", "test", "renamed", 0, "bmp")
    said = refused(tmp_path, *later)
    assert f"train_sam of an earlier run ({made}) learns from (first: renamed = train_0)" in said
    assert "other weights of sam" in said
    again = ("stages=[train_sam]", *later[-2:], "++train_data.limit=2", "allow_leaks=true")
    trained_on = plan(tmp_path, *folder, *again)["train_sam"]
    assert "train_5" in (trained_on / FILE).read_text(), "what its own start had seen is remembered, too"
    (made / FILE).write_text("[")
    assert f"{made / FILE} cannot be read" in refused(tmp_path, *later)


def test_networks_that_only_make_labels_are_remembered(folder: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    put(tmp_path / "data", "other", "seen", 20)
    trained = ("stages=[train_sam]", "sam=tiny_scratch", "train_data.split=other")
    made = plan(tmp_path, *folder, *trained)["train_sam"]
    (made / "sam.safetensors").write_bytes(b"weights")
    weak = (
        *folder,
        "stages=[weak_label,train_nnunet]",
        "sam=tiny",
        f"sam.checkpoint={made / 'sam.safetensors'}",
    )
    by_sam = plan(tmp_path, *weak)
    for stage in ("weak_label", "train_nnunet"):
        learnt = json.loads((by_sam[stage] / FILE).read_text())
        assert [
            (each["group"], [*each["images"]["identities"]]) for each in learnt if each["group"] == "sam"
        ] == [("sam", ["seen"])]
    without_sam = plan(tmp_path, *weak, "label_stages=[saliency,coarse_mask]")
    assert '"group": "sam"' not in (without_sam["train_nnunet"] / FILE).read_text()
    put(tmp_path / "data", "test", "copy", 20, "bmp")
    scored = (*weak, "stages=[weak_label,train_nnunet,nnunet_single,evaluate]")
    assert "train_sam of an earlier run" in refused(tmp_path, *scored)


def test_a_table_of_pairs_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [put(tmp_path / "x", "all", f"image_{n}", n) for n in range(4)]
    read, make = [], CsvPairs.__init__

    def counted(pairs: CsvPairs, **options: Any) -> None:
        read.append(options["file"])
        make(pairs, **options)

    monkeypatch.setattr(CsvPairs, "__init__", counted)
    files = [str(table(tmp_path / "train.csv", images[:2])), str(table(tmp_path / "val.csv", images[2:]))]
    parts = ("pairs=csv", "pairs.train.part=all", "pairs.validation.part=all", "pairs.validation.root=null")
    given = (f"pairs.train.file={files[0]}", f"pairs.validation.file={files[1]}")
    plan(tmp_path, "stages=[finetune_clip,retrieval]", "clip=tiny_random", *parts, *given)
    assert sorted(read) == files


def test_labels_made_with_tuned_numbers_remember_what_these_were_tuned_on(tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    study = tmp_path / "outputs/artifacts/tune/search"
    study.mkdir(parents=True)
    images = {
        "key": "search.data",
        "said": "search.data (phantom, seed 77)",
        "identities": {"x": "of no scan"},
    }
    (study / FILE).write_text(json.dumps([{"stage": "tune", "images": images}]))
    chosen = "data: phantom, split: seed 77, images: 60, values: {beta: 0.3}, study: search"
    own = tmp_path / "conf/tuned/phantom_heldout_tiny_m2ib.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(f"# @package _global_\nsaliency: {{beta: 0.3}}\ntuned_on: {{saliency: {{{chosen}}}}}\n")
    tuned = ("+experiment=phantom_weak", "data.count=3", f"hydra.searchpath=[file://{tmp_path}/conf]")
    made = plan(tmp_path, *tuned)
    stages = {name: (folder / FILE).read_text() for name, folder in made.items() if (folder / FILE).is_file()}
    assert "of no scan" in stages["train_nnunet"]
    assert "of no scan" not in stages["train_reference"], "its labels are true masks"
    (study / FILE).write_text(stages["calibrate_ensemble"])
    assert "or use ~tuned" in refused(tmp_path, *tuned)


def test_a_leak_stops_a_training_on_true_masks(tmp_path: Path) -> None:
    data = Clean(tmp_path / "data")
    options = ("data=folder", f"data.root={data.root}", "text=free", "text.text=a mass")
    data.put("val", "case_20", scan(20), lesion(20), group="patient_3")  # of train
    plan(tmp_path, *options, *SAM)  # what is scored is clean
    alone = refused(tmp_path, *options, "stages=[train_sam]", "sam=tiny_scratch")
    assert "patients in train and val: 1" in alone
    data.put("test", "case_21", scan(21), lesion(21), group="patient_3")
    said = refused(tmp_path, *options, *SAM)
    assert said.startswith(
        f"train_sam would train on {data.root} (train), but the data check found patients in test,"
    )
    assert "allow_leaks=true" in said
    assert said == refused(tmp_path, *options, *SAM), "also where the check is remembered"
    plan(tmp_path, *options, *SAM, "allow_leaks=true")
    plan(tmp_path, *options, *SAM[1:], "stages=[saliency,coarse_mask,sam_mask,evaluate]")


@pytest.mark.parametrize("name", STAGES)
def test_whatever_chooses_by_images_declares_them(name: str) -> None:
    stage = STAGES[name]
    chooses = {"fit", "nnunet", "search", "calibration"} & set(stage.reads)
    if chooses or (stage.ground_truth and stage.measures is None):
        assert stage.learns_from is not None
    if stage.ground_truth and stage.learns_from is None:
        assert stage.measures is not None
    if stage.auxiliary is not None and not stage.repeats:  # which learns nothing
        assert stage.learns_from == stage.auxiliary
