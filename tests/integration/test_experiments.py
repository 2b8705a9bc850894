"""Every experiment and every sweep runs from end to end, with small networks on two images."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from _pytest.mark import ParameterSet
from omegaconf import DictConfig
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.stages.pipeline import mask_stages
from tests.compose import CONF, composed

ZERO_SHOT = {
    "busi": ("breast_tumors", "benign_1", "malignant_2"),
    "brain_mri": ("brain_tumors", "glioma_1", "pituitary_2"),
    "lung_xray": ("lung_Xray", "Normal-1", "covid_2"),
    "lung_ct": ("lung_CT", "slice_1", "slice_2"),
}
"""Folder and file names of each dataset's layout."""
SMALL = ("clip=tiny_random", "sam=tiny_scratch", "report_cases=1")
SHORT = (
    "fit.epochs=1",
    "fit.batch_size=4",
    "pairs.train.count=8",
    "pairs.validation.count=8",
    "retrieval.batch_size=4",
    "retrieval.shuffles=1",
    "trainer.precision=32-true",
)
SMALL_NNUNET = (
    "nnunet.epochs=3",
    "nnunet.iterations=2",
    "nnunet.validation_iterations=1",
    "nnunet.batch_size=2",
    "nnunet.patch_size=[32,32]",
    "nnunet.base_features=4",
    "nnunet.max_features=8",
    "nnunet.late_snapshots=1",
    "ensemble.mirroring=false",
)
FEWER = {"steps": 2, "noise_samples": 1, "channels": 4}
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
OF_FOLDERS = [name for name in EXPERIMENTS if any(name.startswith(f"{data}_") for data in ZERO_SHOT)]
OF_PHANTOMS = [name for name in EXPERIMENTS if name not in (*OF_FOLDERS, "one_image")]


def finish(tmp_path: Path, *overrides: str) -> dict:
    """Run once and return its summary; methods with many steps get few."""
    typed = [f"paths.outputs={tmp_path}/outputs", *overrides]
    cfg = composed(*typed)
    typed += [f"saliency.{key}={value}" for key, value in FEWER.items() if key in cfg.saliency]
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    run(composed(*typed), run_dir, {}, typed)
    return json.loads((run_dir / "summary.json").read_text())


def weak(cfg: DictConfig) -> list[str]:
    """Overrides that make weak supervision small, in an experiment that has it."""
    if "train_nnunet" not in cfg.stages:
        return []
    keys = [key for key in ("train_data", "calibration_data") if "count" in cfg[key]]
    return [*SMALL_NNUNET, *(f"{key}.count=6" for key in keys)]


def layout(root: Path, names: tuple[str, ...], split: str = "test") -> None:
    """Two images with a bright square and their masks."""
    for number, stem in enumerate(names):
        pixels = np.random.default_rng([number, len(split)]).integers(0, 60, (40, 56), dtype=np.uint8)
        mask = np.zeros((40, 56), np.uint8)
        mask[10:20, 10 + number : 25 + number] = 255
        pixels[mask > 0] += 150
        for kind, array in (("images", pixels), ("masks", mask)):
            (root / f"{split}_{kind}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / f"{split}_{kind}" / f"{stem}.png")


def of_folders() -> list[ParameterSet]:
    """Experiments on folders. Weak supervision is the same after each zero-shot experiment: one trains in this tier."""
    slow = [name for name in OF_FOLDERS if name.endswith("_weak") and name != "busi_weak"]
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in OF_FOLDERS]


@pytest.mark.parametrize("name", of_folders())
def test_an_experiment_on_folders_runs(name: str, tmp_path: Path) -> None:
    data = next(data for data in ZERO_SHOT if name.startswith(f"{data}_"))
    folder, *stems = ZERO_SHOT[data]
    for split in ("test", "train"):
        layout(tmp_path / folder, tuple(stems), split)
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps({f"{stem}.png": "a bright square" for stem in stems}))
    given = [f"text.path={texts}"] if "per_image" in str(composed(f"+experiment={name}").text) else []
    cfg = composed(f"+experiment={name}")
    given += weak(cfg)
    given += ["postprocess=otsu"] if name.endswith("_v1") and not find_spec("pydensecrf") else []
    summary = finish(tmp_path, f"+experiment={name}", f"paths.data={tmp_path}", *given, *SMALL)
    final = [label for stage, label in mask_stages().items() if stage in cfg.stages][-1]
    measure = "nsd_released" if name.endswith("_released") else "dsc"
    assert summary["metrics"][f"{final}/{measure}"]["n"] == 2
    assert len(list((tmp_path / "run" / "masks").glob("*.png"))) == 2


@pytest.mark.parametrize("name", OF_PHANTOMS)
def test_an_experiment_on_drawn_scans_runs(name: str, tmp_path: Path) -> None:
    if "BiomedCLIP" in str(composed(f"+experiment={name}").clip):
        pytest.skip("starts from BiomedCLIP, which the slow tier trains at full size")
    cfg = composed(f"+experiment={name}")
    count = 8 if "train_sam" in cfg.stages else 2
    presence = (
        ["presence=clip_contrast"] if "presence" in cfg.stages else []
    )  # calibrated for the trained network
    small = [*presence, *SHORT, *SMALL, *weak(cfg)]
    summary = finish(tmp_path, f"+experiment={name}", f"data.count={count}", *small)
    assert set(summary["timing"]) == set(cfg.stages)


def axes() -> dict[str, list[str]]:
    """What each sweep tries, by key."""
    found: dict[str, list[str]] = {}
    for path in sorted((CONF / "sweep").glob("*.yaml")):
        for key, values in yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"].items():
            found[key] = list(dict.fromkeys([*found.get(key, []), *str(values).split(",")]))
    return found


def jobs() -> list[list[str]]:
    """Job n of a zero-shot run takes the nth method of each axis, over and over where an axis has few."""
    of_methods = {
        key: [value for value in values if not value.startswith("crf") or find_spec("pydensecrf")]
        for key, values in axes().items()
        if (CONF / key).is_dir() and key not in ("sam", "loss", "weak_label")  # weights, and what trains
    }
    return [
        [f"{key}={values[number % len(values)]}" for key, values in of_methods.items()]
        for number in range(max(map(len, of_methods.values())))
    ]


@pytest.mark.parametrize("methods", jobs(), ids=lambda methods: ",".join(methods))
def test_every_method_of_a_sweep_runs(methods: list[str], tmp_path: Path) -> None:
    summary = finish(tmp_path, "+experiment=demo", "data.count=2", *SMALL, *methods)
    assert summary["metrics"]["sam/dsc"]["n"] == 2


@pytest.mark.parametrize("override", ["saliency.layer=0", "saliency.layer=5", "saliency.beta=5.0", "seed=2"])
def test_numbers_that_sweeps_try_run(override: str, tmp_path: Path) -> None:
    key, value = override.split("=")
    assert value in axes()[key]
    summary = finish(tmp_path, "+experiment=demo", "data.count=2", *SMALL, override)
    assert summary["metrics"]["sam/dsc"]["n"] == 2


@pytest.mark.parametrize("loss", axes()["loss"])
def test_every_loss_of_a_sweep_trains(loss: str, tmp_path: Path) -> None:
    summary = finish(tmp_path, "+experiment=loss_ablation", "data.count=2", f"loss={loss}", *SHORT, *SMALL)
    assert summary["timing"]["finetune_clip"]["seconds"] > 0


@pytest.mark.parametrize("row", sorted(path.stem for path in (CONF / "component_ablation").glob("*.yaml")))
def test_every_row_of_the_chain_runs(row: str, tmp_path: Path) -> None:
    summary = finish(
        tmp_path,
        "+experiment=component_ablation",
        f"+component_ablation={row}",
        "data.count=2",
        *SHORT,
        *SMALL,
    )
    assert summary["metrics"]["sam/dsc" if row == "5_sam" else "coarse/dsc"]["n"] == 2
