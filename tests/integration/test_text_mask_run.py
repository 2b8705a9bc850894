"""Whole runs of the stage text_mask with small networks: a SAM that the run trained, several classes, weak labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.clip.load import load_clip
from medsam_exp.config.build import build
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.load import load_sam
from medsam_exp.text_segmenter.owlv2 import load_owlv2
from medsam_exp.text_segmenter.salip import load_salip
from tests.compose import composed
from tests.stored import stored, stored_ids
from tests.text_segmenter.small import saved

DETECTOR = ("text_segmenter=owlv2", "text_segmenter.threshold=0.01", "sam=tiny_scratch", "data.count=2")
TRAINING = (
    "++train_data.seed=31",
    "++train_data.count=4",
    "fit=tiny_sam",
    "fit.epochs=1",
    "fit.batch_size=2",
)


def finish(outputs: Path, *overrides: str) -> dict[str, Path]:
    """Run; return the folder of each stage's results."""
    run_dir = outputs / f"run{len(list(outputs.glob('run*')))}"
    run_dir.mkdir(parents=True)
    run(composed(f"paths.outputs={outputs}", *overrides), run_dir, {}, list(overrides))
    keys = json.loads((run_dir / "summary.json").read_text())["keys"]
    return {stage: outputs / "artifacts" / stage / key for stage, key in keys.items()}


def test_a_detectors_boxes_are_filled_by_the_sam_that_the_run_has_trained(tmp_path: Path) -> None:
    folder = saved("owlv2", tmp_path / "owlv2")
    own = (*DETECTOR, f"text_segmenter.model={folder}", "data=phantom")
    plain = finish(tmp_path, *own, "stages=[text_mask]")
    trained = finish(tmp_path, *own, *TRAINING, "stages=[train_sam,text_mask]")
    sams = {
        "plain": load_sam("tiny", "random", seed=0),
        "trained": load_sam("tiny", str(trained["train_sam"] / "sam.safetensors")),
    }
    dataset = build(composed(*own).data)
    texts = build(composed(*own).text).bind(dataset.samples)
    masks = {}
    for name, stages in {"plain": plain, "trained": trained}.items():
        segmenter = load_owlv2(str(folder), sams[name], SingleMask(), 0.01, 1)
        for sample in dataset.samples:
            image = dataset.read_image(sample.id)
            expected = segmenter.segment(
                segmenter.preprocess(image), texts[sample.id], (image.shape[0], image.shape[1])
            )
            masks[name, sample.id] = stored(stages["text_mask"]).mask(sample.id)
            assert np.array_equal(masks[name, sample.id], expected.mask.numpy())
    assert any(
        not np.array_equal(masks["plain", sample.id], masks["trained", sample.id])
        for sample in dataset.samples
    )


def test_a_segmenter_without_a_sam_does_not_depend_on_one_that_is_trained(tmp_path: Path) -> None:
    own = (
        "text_segmenter=clipseg",
        f"text_segmenter.model={saved('clipseg', tmp_path / 'clipseg')}",
        "data.count=2",
    )
    alone = finish(tmp_path, *own, "data=phantom", "sam=tiny_scratch", "stages=[text_mask]")
    beside = finish(
        tmp_path, *own, "data=phantom", "sam=tiny_scratch", *TRAINING, "stages=[train_sam,text_mask]"
    )
    assert alone["text_mask"] == beside["text_mask"]


def test_salips_regions_are_chosen_by_the_clip_that_the_run_has_fine_tuned(tmp_path: Path) -> None:
    own = (
        *("text_segmenter=salip", "sam=tiny", "clip=tiny_random", "data=phantom", "data.count=2"),
        *(f"text_segmenter.{key}=0" for key in ("min_iou", "min_stability")),
        *("text_segmenter.points_per_side=4", "text_segmenter.max_area=1.0"),
    )
    training = ("pairs=phantom", *(f"pairs.{split}.count=8" for split in ("train", "validation")))
    fit = ("fit=phantom", "fit.epochs=1", "fit.batch_size=4", "optimizer.lr=0.01")
    plain = finish(tmp_path, *own, "stages=[text_mask]")
    tuned = finish(tmp_path, *own, *training, *fit, "stages=[finetune_clip,text_mask]")
    assert plain["text_mask"] != tuned["text_mask"]
    dataset = build(composed(*own).data)
    texts = build(composed(*own).text).bind(dataset.samples)
    (folder,) = (path.parent for path in tuned["finetune_clip"].rglob("open_clip_config.json"))
    salip = load_salip(
        load_sam("tiny"), SingleMask(), load_clip(str(folder)), 4, 0.0, 0.0, 0.7, max_area=1.0, regions=1
    )
    scores = {}
    for sample in dataset.samples:
        image = dataset.read_image(sample.id)
        expected = salip.segment(salip.preprocess(image), texts[sample.id], (image.shape[0], image.shape[1]))
        assert np.array_equal(stored(tuned["text_mask"]).mask(sample.id), expected.mask.numpy())
        scores[sample.id] = [
            stored(stages["text_mask"]).info(sample.id)["presence"] for stages in (plain, tuned)
        ]
        assert scores[sample.id][1] == pytest.approx(expected.presence, abs=1e-6)
    assert all(abs(before - after) > 1e-4 for before, after in scores.values()), scores


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Three images with two classes each, for testing and training."""
    root = tmp_path / "squares"
    for split in ("train", "test"):
        for kind in ("images", "masks"):
            (root / f"{split}_{kind}").mkdir(parents=True)
        name = {"train": "t", "test": "s"}[split]
        for number in range(3):
            generator = np.random.default_rng(number + 10 * (split == "train"))
            labels = np.zeros((40, 56), np.uint8)
            labels[5:15, 8:20], labels[25:35, 30:42] = 1, 2
            Image.fromarray(generator.integers(0, 256, (40, 56), np.uint8)).save(
                root / f"{split}_images" / f"{name}{number}.png"
            )
            Image.fromarray(labels).save(root / f"{split}_masks" / f"{name}{number}.png")
    return root


def test_classes_are_asked_by_their_own_texts_and_a_pixel_of_two_goes_to_the_surer(
    tmp_path: Path, squares: Path
) -> None:
    folder = saved("clipseg", tmp_path / "clipseg")
    own = (
        "text_segmenter=clipseg",
        f"text_segmenter.model={folder}",
        "text_segmenter.threshold=0.4",
        "data=folder",
        f"data.root={squares}",
        "data.classes={round_lesion: [1], dark_mass: [2]}",
        "text=subtype_name",
        "label_stages=[text_mask]",
    )
    stages = finish(tmp_path, *own, "stages=[text_mask,evaluate,weak_label]")
    masks = stored(stages["text_mask"])
    names = ("round_lesion", "dark_mass")
    assert set(stored_ids(stages["text_mask"])) == {
        f"{split}{number}@{name}" for split in "st" for number in range(3) for name in names
    }
    assert [masks.info(f"s0@{name}")["texts"] for name in names] == [["round lesion"], ["dark mass"]]
    for number in range(3):
        assert (masks.mask(f"s{number}@round_lesion") & masks.mask(f"s{number}@dark_mass")).any()
    raw = next(stages["weak_label"].glob("**/labelsTr"))
    values = json.loads((raw.parent / "dataset.json").read_text())["labels"]
    for number, path in enumerate(sorted(raw.glob("*.png"))):
        asked = [f"t{number}@{name}" for name in names]
        surer = max(asked, key=lambda name: masks.info(name)["presence"])
        expected = np.zeros((40, 56), np.uint8)
        for name in sorted(asked, key=lambda name: name == surer):  # the surer is painted last
            expected[masks.mask(name)] = values[name.partition("@")[2]]
        assert np.array_equal(np.asarray(Image.open(path)), expected)
    presences = [masks.info(f"t{number}@{name}")["presence"] for number in range(3) for name in names]
    assert any(first < second for first, second in zip(presences[::2], presences[1::2], strict=True)), (
        "else the order"
    )
