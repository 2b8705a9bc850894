"""What a run planned with is what its stages work with: files that change meanwhile end it, and lose nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.config.build import build
from medsam_exp.config.schema import check
from medsam_exp.data.csv_pairs import CsvPairs
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.planned_objects import PlannedObjects
from medsam_exp.masks.presence.calibrated import PACKAGED
from medsam_exp.runtime.digests import ChangedFileError, FileDigests
from medsam_exp.stages.maps import read_map
from tests.compose import composed


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 32), dtype=np.uint8)).save(path)


def engine(tmp_path: Path, *overrides: str, stages: tuple[str, ...] = ("saliency",)) -> Engine:
    cfg = check(
        composed(
            "data=folder",
            f"data.root={tmp_path}",
            "text=free",
            "text.text=a mass",
            "saliency=intensity",
            f"stages=[{','.join(stages)}]",
            "batch_size.saliency=1",
            f"paths.outputs={tmp_path}/outputs",
            *overrides,
        )
    )
    dataset = build(cfg.data)
    texts = build(cfg.text).bind(dataset.samples)
    digests = FileDigests(tmp_path / "digests.json")
    return Engine(Plan(cfg, list(stages), dataset, texts, digests), quiet=True)


def test_a_replaced_image_ends_the_run_and_nothing_is_stored_for_it(tmp_path: Path) -> None:
    images = [tmp_path / "test_images" / f"{name}.png" for name in "ab"]
    for number, image in enumerate(images):
        write(image, number)
    run = engine(tmp_path)
    write(images[1], 7)
    with pytest.raises(ChangedFileError, match=r"b\.png was changed while the run was at work"):
        run.run("saliency")
    assert list(run.artifacts["saliency"].pending(("a", "b"))) == ["b"]
    again = engine(tmp_path)
    again.run("saliency")
    of_the_new_file = read_map(again.artifacts["saliency"], "b")
    write(images[1], 1)
    old = engine(tmp_path)
    old.run("saliency")
    assert not np.array_equal(read_map(old.artifacts["saliency"], "b"), of_the_new_file)


@pytest.mark.parametrize("group", ["presence", "saliency"])
def test_weights_that_were_replaced_after_planning_are_refused(group: str, tmp_path: Path) -> None:
    """Files of the choice itself, and those of a network that a method holds."""
    write(tmp_path / "test_images" / "a.png", 0)
    folder = tmp_path / "dino"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    shutil.copy(PACKAGED, tmp_path / "calibration.json")
    files = {"presence": tmp_path / "calibration.json", "saliency": folder / "config.json"}
    plan = engine(
        tmp_path,
        "saliency=proxyclip",
        f"saliency.proxy.model={folder}",
        "presence=calibrated",
        f"presence.file={files['presence']}",
        stages=("saliency", "presence"),
    ).plan
    plan.object_of(group, group)
    files[group].write_bytes(files[group].read_bytes() + b"\n")
    with pytest.raises(
        ChangedFileError, match=f"the files of {group} were changed while the run was at work"
    ):
        plan.object_of(group, group)


def test_a_stage_gets_the_pairs_that_the_plan_has_read(tmp_path: Path) -> None:
    """A table that is replaced meanwhile brings no other captions under the old digest."""
    write(tmp_path / "a.png", 1)
    table = tmp_path / "pairs.csv"
    table.write_text("filename,Caption\na.png,a caption that is long enough\n")
    cfg = composed("pairs=csv", f"pairs.train.file={table}", "pairs.train.part=all", "pairs.validation=null")
    objects = PlannedObjects(cfg, FileDigests(), build)
    pairs: CsvPairs = objects.to_plan_with("pairs")["train"]
    table.write_text("filename,Caption\na.png,another caption of some length\n")
    assert objects.to_work_with("pairs")["train"] is pairs
    assert objects.to_work_with("pairs")["train"].captions("a.png") == ("a caption that is long enough",)
