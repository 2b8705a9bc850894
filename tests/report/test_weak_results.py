"""What a run says of its labels, its comparisons and its doubt; files for its user. No network is run."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.report.mask_files import write_mask_files
from medsam_exp.report.pictures import save_pictures
from medsam_exp.report.results import RunResults
from medsam_exp.report.topics.uncertainty import (
    doubt_scores,
    draw_doubt,
    draw_review,
    uncertainty_results,
)
from medsam_exp.report.topics.weak import (
    comparisons,
    label_notes,
    label_truth_uses,
    labels_section,
    weak_label_results,
)
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.types import Sample

IDS = ("a", "b", "c", "d")
CFG = OmegaConf.create(
    {
        "weak_label": {"_target_": "medsam_exp.nnunet.weak_label.confident.Confident"},
        "reference_label": {"_target_": "medsam_exp.nnunet.weak_label.ground_truth.GroundTruth"},
        "uncertainty": {"bins": 15, "near_px": 10},
        "review": {"images": 2, "by": "expected_dsc"},
        "ensemble": {"results": None},
    }
)


class FinishedEngine:
    """An engine whose stages are done."""

    def __init__(self, root: Path, ids: tuple[str, ...] = IDS) -> None:
        self.root, self.sample_ids = root, ids
        self.plan = SimpleNamespace(
            inputs={key: {} for key in ("samples", "images", "truth", "dataset", "parents")},
            read_image=lambda _: np.full((4, 6, 3), 80, np.uint8),
        )
        self.artifacts: dict[str, StageArtifacts] = {}
        self.scores: dict[str, dict[str, dict[str, float]]] = {name: {} for name in ids}

    def add(self, stage: str) -> StageArtifacts:
        names = dict.fromkeys((*self.sample_ids, "all"), "0" * 64)
        self.artifacts[stage] = StageArtifacts(self.root, stage, "key", names)
        return self.artifacts[stage]


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    return FinishedEngine(tmp_path / "artifacts")


def add_labels(engine: Any, stage: str = "weak_label", source: str = "zero_shot", **changes: Any) -> None:
    record = {
        "raw": "nnUNet_raw/Dataset001_Phantom",
        "data": "phantom",
        "split": "train",
        "source": source,
        "labels": {"background": 0, "target": 1},
        "kept": ["x", "y"],
        "dropped": {"z": "the mask is empty"},
        "unknown": 0.0,
        "weights": {},
    }
    engine.add(stage).save("all", record | changes)


def add_ensemble(engine: Any, ids: tuple[str, ...] = IDS) -> None:
    ensemble = engine.add("nnunet_ensemble")
    for place, name in enumerate(ids):
        mask = np.zeros((4, 6), bool)
        mask[place % 4, :3] = True
        scores = {"expected_dsc": 0.2 * (place + 1), "disagreement": 0.1 * place}
        info = {
            "members": 3,
            "classes": 1,
            "threshold": 0.4,
            "temperature": 1.5,
            "scores": {"uncertainty": scores},
        }
        ensemble.save(name, info, mask, {"probability": mask.astype(np.float32)})


def test_labels_say_what_is_trusted_less(engine: Any) -> None:
    add_labels(engine, unknown=0.1234, weights={"x": 0.2, "y": 0.8})
    facts = weak_label_results(engine, CFG)
    assert (facts["weak_label"]["unknown"], facts["weak_label"]["least_weight"]) == (0.1234, 0.25)
    section = labels_section({"weak_labels": facts})
    assert section is not None
    said = " ".join(section.parts[0].sentences)
    assert "12 % of their pixels are unknown (label_ignore)" in said
    assert "drawn by the trust in their labels (label_weight), the least at 0.250 of the most" in said


def test_labels_say_where_they_come_from_and_what_was_dropped(engine: Any) -> None:
    add_labels(engine)
    add_labels(engine, "reference_label", "ground_truth", dropped={})
    record = {
        "results": "nnUNet_results/Dataset001_Phantom/nnUNetTrainer__nnUNetPlans__2d",
        "folds": ["0"],
        "snapshots": [2, 4],
        "figures": {"fold_0/val/pseudo_dice": 0.5},
    }
    engine.add("train_nnunet").save("all", record)
    labels = weak_label_results(engine, CFG)
    weak, reference = labels["weak_label"], labels["reference_label"]
    assert (weak["policy"], weak["kept"], weak["dropped"]) == ("confident", 2, {"z": "the mask is empty"})
    assert weak["classes"] == ["target"]
    assert weak["training"] == {"fold_0/val/pseudo_dice": 0.5}
    assert (
        Path(weak["raw_dataset"]) == (engine.root / "weak_label/key/nnUNet_raw/Dataset001_Phantom").resolve()
    )
    assert f"nnUNet_results={Path(weak['results']).parent.parent} " in weak["how_to_go_on"]
    assert "results" not in reference
    assert reference["policy"] == "ground_truth"
    assert label_notes(labels) == ["weak_label: 1 of 3 images dropped"]
    assert label_truth_uses(labels, texts_tell="") == [
        "reference_label: true masks as labels (phantom, train)"
    ]
    assert label_truth_uses(labels, texts_tell="each says all")[1:] == [
        "text: oracle, each says all (phantom, train)"
    ]


def test_a_run_without_weak_supervision_has_nothing_to_say(engine: Any) -> None:
    engine.add("sam_mask")
    assert weak_label_results(engine, CFG) == {}
    assert uncertainty_results(engine, CFG) == {}
    assert doubt_scores(engine) == {}


def dataset(samples: tuple[Sample, ...]) -> Any:
    return SimpleNamespace(samples=samples, label_names=("liver", "spleen"))


def test_comparisons_are_those_of_the_shared_images(engine: Any) -> None:
    for stage in ("sam_mask", "nnunet_single", "nnunet_ensemble", "reference_ensemble", "evaluate"):
        engine.add(stage)
    generator = np.random.default_rng(0)
    dsc = {short: generator.uniform(size=4) for short in ("sam", "weak_single", "weak", "reference")}
    for place, name in enumerate(IDS):
        engine.scores[name] = {short: {"dsc": float(values[place])} for short, values in dsc.items()}
    found = comparisons(engine, dataset(tuple(map(Sample, IDS))), 3)
    assert [(line["a"], line["b"]) for line in found] == [
        ("sam", "weak"),
        ("weak_single", "weak"),
        ("reference", "weak"),
    ]
    for line in found:
        assert line["difference"] == pytest.approx(np.mean(dsc["weak"] - dsc[line["a"]]))
        expected = compare_pairs(dsc[line["a"]].tolist(), dsc["weak"].tolist(), 3)
        assert (line["ci95"], line["t_p"]) == (expected.ci95, expected.t_p)


def test_zero_shot_masks_are_compared_with_a_rivals_alone(engine: Any) -> None:
    for stage in ("text_mask", "coarse_mask", "sam_mask", "evaluate"):
        engine.add(stage)
    for number, name in enumerate(IDS):
        engine.scores[name] = {
            "text": {"dsc": 0.1 * number},
            "coarse": {"dsc": 0.2},
            "sam": {"dsc": 0.3 + 0.2 * number},
        }
    (line,) = comparisons(engine, dataset(tuple(map(Sample, IDS))), 0)
    assert (line["a"], line["b"]) == ("text", "sam")
    assert line["difference"] == pytest.approx(0.3 + 0.1 * np.mean(range(len(IDS))))


def test_classes_of_one_image_count_as_one_pair(engine: Any) -> None:
    for stage in ("coarse_mask", "nnunet_single", "evaluate"):
        engine.add(stage)
    for name, (coarse, weak) in zip(IDS, [(0.1, 0.5), (0.3, 0.9), (0.2, 0.2), (0.4, 0.6)], strict=True):
        engine.scores[name] = {"coarse": {"dsc": coarse}, "weak_single": {"dsc": weak}}
    images = dict(zip(IDS, ("one", "one", "two", "two"), strict=True))
    (line,) = comparisons(engine, dataset(tuple(Sample(n, image_id=images[n]) for n in IDS)), 0)
    assert line["n"] == 2
    assert (line["mean_a"], line["mean_b"]) == pytest.approx((0.25, 0.55))


def test_without_truth_nothing_is_compared(engine: Any) -> None:
    engine.add("sam_mask")
    engine.add("nnunet_ensemble")
    assert comparisons(engine, dataset(tuple(map(Sample, IDS))), 0) == []


def test_uncertainty_is_said_without_lists_over_images(engine: Any) -> None:
    add_labels(engine)
    add_ensemble(engine)
    facts = uncertainty_results(engine, CFG)
    assert (facts["threshold"], facts["temperature"], facts["members"]) == (0.4, 1.5, 3)
    assert not facts["several_classes"]
    curve = {"coverage": [0.5, 1.0], "risk": [0.1, 0.3]}
    record = {
        "images": 4,
        "mean_risk": 0.3,
        "oracle": curve,
        "ranking": {"expected_dsc": {"aurc": 0.2, "excess_aurc": 0.0, "spearman": None, "curve": curve}},
        "dsc": dict.fromkeys(IDS, 0.5),
        "doubt": {},
    }
    engine.add("uncertainty").save("all", record)
    facts = uncertainty_results(engine, CFG)
    assert facts["oracle_aurc"] == pytest.approx(0.2)
    assert "curve" not in facts["ranking"]["expected_dsc"]
    assert not {"dsc", "doubt", "oracle", "id"} & facts.keys()
    json.dumps(facts)


def test_the_user_gets_masks_maps_and_a_list_the_least_sure_first(engine: Any, tmp_path: Path) -> None:
    add_ensemble(engine)
    write_mask_files(tmp_path, engine, dataset(tuple(map(Sample, IDS))), "expected_dsc")
    with (tmp_path / "review.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(IDS)  # the lowest expected DSC comes first
    assert list(rows[0]) == ["rank", "id", "1-expected_dsc", "disagreement"]
    assert float(rows[0]["1-expected_dsc"]) == pytest.approx(0.8)
    write_mask_files(tmp_path, engine, dataset(tuple(map(Sample, IDS))), "disagreement")
    with (tmp_path / "review.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == list(reversed(IDS))
    for name in IDS:
        mask = engine.artifacts["nnunet_ensemble"].mask(name)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks" / f"{name}.png")), 255 * mask)
        with np.load(tmp_path / "uncertainty" / f"{name}.npz") as stored:
            np.testing.assert_array_equal(stored["probability"], mask)
    assert not (tmp_path / "labels").exists()


def test_files_of_a_run_are_no_links_into_the_store(engine: Any, tmp_path: Path) -> None:
    add_ensemble(engine)
    write_mask_files(tmp_path, engine, dataset(tuple(map(Sample, IDS))), "expected_dsc")
    (tmp_path / "uncertainty" / "a.npz").write_bytes(b"changed")
    assert engine.artifacts["nnunet_ensemble"].maps("a")


def test_several_classes_give_one_label_map_an_image(tmp_path: Path) -> None:
    ids = ("p@liver", "p@spleen", "q@liver", "q@spleen")
    engine = FinishedEngine(tmp_path / "artifacts", ids)
    add_ensemble(engine, ids)
    samples = tuple(Sample(name, name[2:], image_id=name[0]) for name in ids)
    write_mask_files(tmp_path, engine, dataset(samples), "expected_dsc")  # type: ignore[arg-type]
    assert json.loads((tmp_path / "labels" / "labels.json").read_text()) == {
        "background": 0,
        "liver": 1,
        "spleen": 2,
    }
    found = np.asarray(Image.open(tmp_path / "labels" / "p.png"))
    expected = np.zeros((4, 6), np.uint8)
    expected[0, :3], expected[1, :3] = 1, 2
    np.testing.assert_array_equal(found, expected)
    assert sorted(path.name for path in (tmp_path / "labels").glob("*.png")) == ["p.png", "q.png"]


def test_masks_that_may_overlap_give_no_label_map(tmp_path: Path) -> None:
    ids = ("p@liver", "p@spleen")
    engine = FinishedEngine(tmp_path / "artifacts", ids)
    masks = engine.add("sam_mask")
    for name in ids:
        masks.save(name, {}, np.ones((4, 6), bool))
    samples = tuple(Sample(name, name[2:], image_id=name[0]) for name in ids)
    write_mask_files(tmp_path, engine, dataset(samples), "expected_dsc")  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "masks"]


def test_mask_files_that_are_right_are_left_and_others_mended(tmp_path: Path) -> None:
    engine = FinishedEngine(tmp_path / "artifacts")
    masks = engine.add("sam_mask")
    for name in IDS:
        masks.save(name, {}, np.ones((4, 6), bool))

    def written() -> dict[str, tuple[bytes, int]]:
        write_mask_files(tmp_path, engine, dataset(tuple(map(Sample, IDS))), "expected_dsc")  # type: ignore[arg-type]
        return {
            path.stem: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "masks").iterdir()
        }

    first = written()
    right = first["a"][0]
    for path in (tmp_path / "masks").iterdir():
        os.utime(path, ns=(1, 1))
    for name, damage in (("b", right[:-1] + b"?"), ("c", right + b"?")):
        (tmp_path / "masks" / f"{name}.png").write_bytes(damage)
    (tmp_path / "masks" / "d.png").unlink()
    second = written()
    assert {name: content for name, (content, _) in second.items()} == dict.fromkeys(IDS, right)
    assert [name for name, (_, when) in second.items() if when == 1] == ["a"]


def test_without_truth_the_list_has_its_pictures(engine: Any, tmp_path: Path) -> None:
    add_labels(engine)
    add_ensemble(engine)
    flat = np.zeros((4, 6), np.float32)
    for name in IDS:
        stored = engine.artifacts["nnunet_ensemble"]
        maps = {"probability": flat, "entropy": flat, "mutual_information": flat}
        stored.save(name, stored.info(name), stored.mask(name), maps)
    cfg = OmegaConf.merge(CFG, {"report_cases": 1})
    results = RunResults(cfg, engine, None, {}, [], {})  # type: ignore[arg-type]
    found = save_pictures(draw_review(results), tmp_path, tmp_path / "artifacts", {})
    assert [caption for caption, *_ in found] == [
        "thumbnail: a",
        "thumbnail: b",
        "review: 1. a",
        "review: 2. b",
    ]
    assert all(path.is_file() for _, path, _ in found)
    assert list(draw_doubt(results)) == []


def test_images_of_known_patients_are_compared_by_patient(engine: Any) -> None:
    for stage in ("sam_mask", "nnunet_ensemble", "evaluate"):
        engine.add(stage)
    for number, name in enumerate(IDS):
        engine.scores[name] = {
            "sam": {"dsc": 0.1 * number},
            "weak": {"dsc": 0.1 * number + 0.02 * (number + 1)},
        }
    samples = tuple(Sample(name, patient="one" if name in "ab" else "two") for name in IDS)
    (found,) = comparisons(engine, dataset(samples), seed=0)
    expected = compare_pairs(
        [0.0, 0.1, 0.2, 0.1 * 3], [0.02, 0.14, 0.26, 0.1 * 3 + 0.08], clusters=["one", "one", "two", "two"]
    )
    assert (found["patients"], found["n"], found["ci95"]) == (2, 4, None)
    assert found["wilcoxon_p"] == expected.wilcoxon_p == 0.5
