"""How masks are supervised: by records and by what publishers say, never by a guess."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from medsam_exp.cli.runner import _inputs
from medsam_exp.config.schema import check
from medsam_exp.engine.leakage import (
    CAPTIONS,
    FILE,
    METHOD_MASKS,
    TRUE_MASKS,
    Images,
    Learnt,
    refuse_learnt_images,
)
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.supervision import (
    MARKS,
    Seen,
    _is_published,
    _of_network,
    marked,
    seen_in,
    supervision,
)
from medsam_exp.engine.training_data import Training, published_datasets, read_training_data, training_data
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError
from tests.clean_data import lesion, scan
from tests.compose import CONF, composed

ZERO_SHOT = "stages=[saliency,coarse_mask,sam_mask,evaluate]"
WEAK = "stages=[weak_label,train_nnunet,nnunet_single,evaluate]"
REFERENCE = "stages=[reference_label,train_reference,reference_single,evaluate]"
DRAWN = ("data=phantom", "data.count=2", "text=class_name")


@pytest.fixture
def folder(tmp_path: Path) -> tuple[str, ...]:
    """Two scans that were not drawn to train on, two to score; options of a run over them."""
    for number in range(4):
        for kind, values in (("images", scan(number)), ("masks", lesion(number))):
            path = tmp_path / "data" / f"{'train' if number < 2 else 'test'}_{kind}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return ("data=folder", f"data.root={tmp_path / 'data'}", "text=free", "text.text=a mass")


def found(tmp_path: Path, *options: str, **chosen: str) -> dict[str, dict[str, Any]]:
    """The supervision of a run that is planned and not begun; choices as typed."""
    cfg = check(composed(f"paths.outputs={tmp_path / 'outputs'}", *options))
    dataset, texts, _ = _inputs(cfg, say_notes=False)
    plan = Plan(cfg, list(cfg.stages), dataset, texts, FileDigests(None))
    learnt = refuse_learnt_images(cfg, plan, tmp_path, None)
    typed = dict(option.split("=", 1) for option in options if "." not in option.partition("=")[0])
    return supervision(plan, learnt, {"clip": "tiny", "sam": "tiny", "saliency": "m2ib", **typed, **chosen})


def record(path: Path, *learnt: Learnt) -> None:
    path.write_text(json_text([asdict(each) for each in learnt]))


@pytest.mark.parametrize("group", ["clip", "sam", "text_segmenter"])
def test_every_choice_is_recorded_and_nothing_else(group: str) -> None:
    assert training_data()[group].keys() == {path.stem for path in (CONF / group).glob("*.yaml")}


def test_every_choice_that_may_hold_a_network_is_recorded() -> None:
    for group in ("saliency", "presence"):
        loading = {
            path.stem
            for path in (CONF / group).glob("*.yaml")
            if "paths.weights" in path.read_text() or "checkpoint" in path.read_text()
        }
        assert training_data()[group].keys() == loading
    assert published_datasets().keys() <= {path.stem for path in (CONF / "data").glob("*.yaml")}


def test_every_entry_has_trainings_a_reason_or_networks_within() -> None:
    for rows in training_data().values():
        for row in rows.values():
            assert row.trainings or row.why or row.holds
            assert all(training.source for training in row.trainings)
            assert all(training.domain == "medical" for training in row.trainings if training.datasets)


def test_an_entry_that_means_nothing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(
        "data: {}\nsam:\n  mine:\n    - {of: scans, kind: guesses, domain: medical, source: me}\n"
    )
    with pytest.raises(UserError, match=r"sam\.mine\.trainings\.0\.kind"):
        read_training_data(path)


@pytest.mark.parametrize(
    ("kind", "domain", "datasets", "complete", "of_busi", "of_any"),
    [
        ("captions", "general", (), False, "zero-shot", "zero-shot"),
        ("masks", "general", (), False, "zero-shot", "zero-shot"),
        ("masks", "unknown", (), False, "unknown", "unknown"),
        ("captions", "medical", ("PMC-15M",), True, "zero-shot", "zero-shot"),
        ("captions", "medical", (), False, "unknown", "unknown"),
        ("captions", "medical", ("BUSI",), False, "trained on this dataset", "unknown"),
        ("masks", "medical", ("LIDC-IDRI",), False, "supervised", "supervised"),
        ("masks", "medical", ("LIDC-IDRI",), True, "supervised", "supervised"),
        ("masks", "medical", ("BUSI",), True, "trained on this dataset", "supervised"),
        ("boxes", "medical", ("BUSI",), False, "trained on this dataset", "supervised"),
    ],
)
def test_what_a_published_training_makes_of_masks(
    kind: Any, domain: Any, datasets: tuple[str, ...], complete: bool, of_busi: str, of_any: str
) -> None:
    training = Training("images", kind, domain, "a paper", datasets, complete)
    assert seen_in(training, ("BUSI", "UDIAT")) == of_busi
    assert seen_in(training, ()) == of_any


def test_of_several_facts_the_strongest_counts() -> None:
    for low, mark in enumerate(MARKS):
        for other in MARKS[:low]:
            said = marked([Seen(other, "less"), Seen(mark, "more"), Seen(mark, "more")])
            assert said == {"mark": mark, "because": ["more"], "besides": ["less"]}
    assert marked([])["mark"] == "zero-shot"


def test_the_embedded_networks_know_the_generator_of_drawn_scans(tmp_path: Path) -> None:
    said = found(tmp_path, ZERO_SHOT, *DRAWN)
    assert list(said) == ["saliency", "coarse", "sam"]
    assert {each["mark"] for each in said.values()} == {"trained on this dataset"}
    assert [fact.partition(" learnt")[0] for fact in said["coarse"]["because"]] == ["CLIP (tiny)"]
    assert [fact.partition(" learnt")[0] for fact in said["sam"]["because"]] == ["CLIP (tiny)", "SAM (tiny)"]
    assert "true masks of drawn scans of seed 0" in said["sam"]["because"][1]


def test_drawn_scans_are_no_medical_images_where_others_are_scored(
    tmp_path: Path, folder: Sequence[str]
) -> None:
    said = found(tmp_path, ZERO_SHOT, *folder)
    assert (said["coarse"]["mark"], said["sam"]["mark"]) == ("zero-shot", "zero-shot")
    assert "drawn scans of seed 0" in said["sam"]["because"][1]


def test_random_weights_have_seen_nothing(tmp_path: Path) -> None:
    said = found(tmp_path, "stages=[saliency,coarse_mask,evaluate]", *DRAWN, "clip=tiny_random")
    assert said["coarse"]["mark"] == "zero-shot"
    assert said["coarse"]["because"] == ["CLIP (tiny_random) starts with random weights"]


def test_a_network_without_a_record_is_unknown(tmp_path: Path, folder: Sequence[str]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    embedded = Path(__file__).parents[2] / "medsam_exp" / "embedded" / "tiny_clip"
    for path in embedded.iterdir():
        if not path.name.endswith(FILE):
            (own / path.name).write_bytes(path.read_bytes())
    options = ("stages=[saliency,coarse_mask,evaluate]", *folder, "clip=folder", f"clip.model={own}")
    said = found(tmp_path, *options)["coarse"]
    assert said["mark"] == "unknown"
    assert said["because"] == ["CLIP (folder): a folder's network has no record of its training data"]
    said = found(tmp_path, *options, clip="of_my_own")["coarse"]
    assert said["because"] == ["CLIP (of_my_own): there is no record of its training data"]

    pairs = Images("pairs.train", "pairs.train", {"a": "0" * 64})
    record(own / FILE, Learnt("finetune_clip", pairs, teacher=CAPTIONS))
    assert found(tmp_path, *options)["coarse"]["mark"] == "unknown", "what it was started from is not known"
    record(
        own / FILE,
        Learnt("finetune_clip", Images("t", "t", {"a": "0" * 64}, dataset="x"), "", "", True, CAPTIONS),
    )
    assert found(tmp_path, *options)["coarse"]["mark"] == "zero-shot"


@pytest.mark.parametrize(
    ("dataset", "teacher", "expected"),
    [
        ("own", TRUE_MASKS, "trained on this dataset"),
        ("own", "", "trained on this dataset"),
        ("another", TRUE_MASKS, "supervised"),
        ("", "", "supervised"),
        ("another", METHOD_MASKS, "weakly supervised"),
    ],
)
def test_weights_of_an_earlier_run_carry_their_record(
    dataset: str, teacher: str, expected: str, tmp_path: Path, folder: Sequence[str]
) -> None:
    embedded = Path(__file__).parents[2] / "medsam_exp" / "embedded" / "tiny_sam.safetensors"
    named = str((tmp_path / "data").resolve()) if dataset == "own" else dataset
    images = Images("train_data", "train_data (mine, train)", {"a": "0" * 64}, "train", named)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(embedded.read_bytes())
    record(copy.with_suffix(f".{FILE}"), Learnt("train_sam", images, from_scratch=True, teacher=teacher))
    said = found(tmp_path, ZERO_SHOT, *folder, f"sam.checkpoint={copy}")
    assert said["sam"]["mark"] == expected
    assert said["coarse"]["mark"] == "zero-shot", "SAM comes after it"


def test_training_in_the_run_counts_by_its_teacher(tmp_path: Path, folder: Sequence[str]) -> None:
    stages = "stages=[train_sam,saliency,coarse_mask,sam_mask,evaluate]"
    said = found(tmp_path, stages, *folder, "sam=tiny_scratch")
    assert said["sam"]["mark"] == "supervised"
    assert said["sam"]["because"][0] == "SAM learnt in this run from true masks of train_data (folder, train)"
    assert said["coarse"]["mark"] == "zero-shot"


@pytest.mark.parametrize(
    ("options", "label", "expected"),
    [
        ((REFERENCE,), "reference_single", "supervised"),
        ((WEAK, "weak_label=ground_truth"), "weak_single", "supervised"),
        (
            (WEAK, "clip=tiny_random", "label_stages=[saliency,coarse_mask]"),
            "weak_single",
            "weakly supervised",
        ),
    ],
)
def test_nnunet_counts_by_its_labels_and_by_the_networks_that_made_them(
    options: Sequence[str], label: str, expected: str, tmp_path: Path, folder: Sequence[str]
) -> None:
    pytest.importorskip("nnunetv2")
    assert found(tmp_path, *folder, *options)[label]["mark"] == expected


def test_labels_are_worth_what_the_networks_were_that_made_them(tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2")
    said = found(tmp_path, *DRAWN, WEAK, "++train_data.seed=5")["weak_single"]
    assert said["mark"] == "trained on this dataset"
    assert said["besides"] == [
        "nnU-Net learnt in this run from masks that a method made of train_data (phantom, seed 5)"
    ]


def test_masks_of_a_folder_are_unknown_labels(tmp_path: Path, folder: Sequence[str]) -> None:
    pytest.importorskip("nnunetv2")
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in (tmp_path / "data" / "train_masks").iterdir():
        (masks / path.name).symlink_to(path)
    said = found(tmp_path, *folder, WEAK, "weak_label=folder", f"weak_label.root={masks}")["weak_single"]
    assert (said["mark"], said["because"][0].partition(" of train_data")[0]) == (
        "unknown",
        "nnU-Net learnt in this run from masks of a folder",
    )


def test_a_published_network_is_known_by_its_files(tmp_path: Path) -> None:
    medsam = composed("sam=medsam")
    assert _is_published(medsam, "sam", "medsam")
    assert _is_published(
        composed("sam=medsam", f"sam.checkpoint={tmp_path}/medsam_vit_b.pth"), "sam", "medsam"
    )
    assert not _is_published(composed("sam=medsam", f"sam.checkpoint={tmp_path}/mine.pth"), "sam", "medsam")
    assert not _is_published(medsam, "sam", "vit_b")
    hub = "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
    assert _is_published(composed("clip=biomedclip", f"clip.model={hub}"), "clip", "biomedclip")
    assert not _is_published(
        composed("clip=biomedclip", f"clip.weights={tmp_path}/a.bin"), "clip", "biomedclip"
    )
    assert not _is_published(medsam, "sam", "none_such")


@pytest.mark.parametrize(
    ("choice", "mark", "words"),
    [
        ("vit_b", "zero-shot", "SA-1B"),
        ("medsam", "supervised", "whether this dataset is among them is not recorded"),
        ("sam3_tracker", "unknown", "whether medical images are among them is not said"),
    ],
)
def test_published_sams_on_busi(choice: str, mark: str, words: str, tmp_path: Path) -> None:
    cfg = composed("data=busi", f"sam={choice}", f"paths.weights={tmp_path}")
    file = Path(cfg.sam.checkpoint)
    file.mkdir() if not file.suffix else file.touch()
    for name in ("config.json", "model.safetensors") if not file.suffix else ():
        (file / name).write_text("{}")
    (*_, last) = _of_network(SimpleNamespace(cfg=cfg), "sam", choice)  # type: ignore[arg-type]
    assert last.mark == mark
    assert words in last.sentence


def test_the_record_is_json(tmp_path: Path) -> None:
    said = found(tmp_path, ZERO_SHOT, *DRAWN)
    assert json.loads(json.dumps(said)) == said
