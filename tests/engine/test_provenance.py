"""Networks that know drawn scans alone are named beside results on other images, by what records say."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from medsam_exp.cli.app.examples import write_examples
from medsam_exp.cli.runner import _inputs
from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.config.schema import check
from medsam_exp.data.image import ImageDataset
from medsam_exp.data.phantom.draw import draw_phantom
from medsam_exp.data.phantom.files import is_drawn_file
from medsam_exp.engine.leakage import FILE, Images, Learnt, learnt_earlier, refuse_learnt_images, remember
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.provenance import caution
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.json_text import json_text
from tests.clean_data import lesion, scan
from tests.compose import composed

REAL, DRAWN = {"a": "0" * 64}, {"phantom_5_000000": "drawn scan 3 5 0"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "scan.png"
    Image.fromarray(scan(0)).save(path)
    return path


def planned(tmp_path: Path, *overrides: str) -> Plan:
    cfg = check(composed(f"paths.outputs={tmp_path / 'outputs'}", *overrides))
    dataset, texts, _ = _inputs(cfg, say_notes=False)
    return Plan(cfg, list(cfg.stages), dataset, texts, FileDigests(None))


def said(tmp_path: Path, *overrides: str) -> str:
    plan = planned(tmp_path, *overrides)
    return caution(plan, list(learnt_earlier(plan.cfg, plan)))


def one(image: Path) -> tuple[str, ...]:
    return ("+experiment=one_image", f"data.path={image}", "text.text=a mass")


def test_embedded_networks_on_an_image_that_was_not_drawn(tmp_path: Path, real: Path) -> None:
    assert said(tmp_path, *one(real)) == (
        "CLIP and SAM were trained on synthetic scans only: masks of real images are not meaningful. Fetch published "
        "weights with `medsam-exp weights get biomedclip sam_vit_b`, then use clip=biomedclip sam=vit_b."
    )


def test_nothing_is_said_on_drawn_scans(tmp_path: Path) -> None:
    example = write_examples(tmp_path / "examples")["lung_ct"]
    assert said(tmp_path, *one(example)) == ""
    assert said(tmp_path, "+experiment=demo", "data.count=2") == ""


def test_the_same_pixels_without_the_word_of_their_file_are_not_known_to_be_drawn(tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    Image.fromarray(draw_phantom(2, 1).image).save(copy)
    assert said(tmp_path, *one(copy)).startswith("CLIP and SAM")
    assert not is_drawn_file(copy)
    assert not is_drawn_file(tmp_path / "missing.png")
    assert not ImageDataset(str(copy)).is_drawn("copy")


@pytest.mark.parametrize(
    ("images", "from_scratch", "expected"),
    [
        (DRAWN, True, "CLIP and SAM were"),
        (REAL, True, "SAM was"),
        (DRAWN | REAL, True, "SAM was"),
        (DRAWN, False, "SAM was"),  # what they were started from is unknown
        (None, False, "SAM was"),
    ],
)
def test_own_weights_are_known_by_their_record(
    images: dict[str, str] | None, from_scratch: bool, expected: str, tmp_path: Path, real: Path
) -> None:
    save_clip(load_clip("tiny"), tmp_path / "own")
    if images is not None:
        learnt = Learnt("finetune_clip", Images("pairs.train", "pairs", images), from_scratch=from_scratch)
        (tmp_path / "own" / FILE).write_text(json_text([asdict(learnt)]))
    found = said(tmp_path, *one(real), "clip=folder", f"clip.model={tmp_path / 'own'}", "saliency=patch_text")
    assert found.startswith(f"{expected} trained on synthetic scans only")


@pytest.mark.parametrize(
    ("segmenter", "expected"),
    [("salip", "CLIP and SAM were trained"), ("grounding_dino", "SAM was trained"), ("clipseg", "")],
)
def test_networks_within_a_text_prompted_segmenter_count(
    segmenter: str, expected: str, tmp_path: Path, real: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    own = [] if segmenter == "salip" else [f"text_segmenter.model={model}"]
    found = said(tmp_path, *one(real), f"text_segmenter={segmenter}", *own, "stages=[text_mask]")
    assert found.startswith(expected)
    assert bool(found) == bool(expected)


def test_what_the_run_itself_trains_on_counts(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for kind, values in (("images", scan(split == "test")), ("masks", lesion(0))):
            path = tmp_path / "data" / f"{split}_{kind}" / f"{split}.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(values).save(path)
    plan = planned(
        tmp_path, "data=folder", f"data.root={tmp_path / 'data'}", "text=free", "text.text=a mass",
        "stages=[train_sam,saliency,coarse_mask,sam_mask]",
    )  # fmt: skip
    learnt = refuse_learnt_images(plan.cfg, plan, tmp_path, None)
    assert caution(plan, learnt).startswith("CLIP was trained on synthetic scans only")
    remember(plan, learnt)
    written = json.loads((plan.artifacts["train_sam"].folder / FILE).read_text())
    assert [each["from_scratch"] for each in written if each["stage"] == "train_sam"] == [True, False]
