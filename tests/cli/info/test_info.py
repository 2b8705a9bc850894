"""What `medsam-exp info` says is what the configuration, the catalogue and the committed tables say."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.cli.info.choices import groups_info
from medsam_exp.cli.info.costs import FULL_SIZE, SALIENCY, SAM_FULL_SIZE
from medsam_exp.cli.weights.catalogue import catalogue
from medsam_exp.types import UserError
from tests.command import refusal
from tests.compose import CONF
from tests.conftest import ROOT


def choices(*groups: str) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        group["group"]: {choice["name"]: choice for choice in group["choices"]}
        for group in groups_info(groups)["groups"]
    }


def test_every_choice_of_the_configuration_is_there_and_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from medsam_exp.cli.main import main; main(['info', '--json']); "
        "print(sorted({'torch', 'pytorch_lightning', 'pandas', 'scipy', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    said, _, imported = done.stdout.rstrip().rpartition("\n")
    assert imported == "[]"
    groups = {group["group"]: group for group in json.loads(said)["groups"]}
    found = {(name, choice["name"]) for name, group in groups.items() for choice in group["choices"]}
    files = {
        (path.parent.relative_to(CONF).as_posix(), path.stem)
        for path in [*CONF.glob("*/*.yaml"), *CONF.glob("hydra/launcher/*.yaml")]
    }
    assert found == {pair for pair in files if pair[0] not in ("tuned", "wandb_sweep", "local")}
    assert groups["clip"]["default"] == "tiny"
    assert groups["experiment"]["default"] is None
    for group in groups.values():
        assert group["default"] in {None, *(choice["name"] for choice in group["choices"])}
        assert all(choice["about"] for choice in group["choices"]), group["group"]


def test_the_weights_of_the_catalogue_are_named_by_the_choices_that_use_them() -> None:
    found = choices("clip", "sam", "text_segmenter", "experiment")
    for weights in catalogue().values():
        group, _, name = weights.use.partition("=")
        (need,) = found[group][name]["needs"]["weights"]
        assert need["name"] == weights.name
        assert found[group][name]["licence"] == weights.licence
    assert [need["name"] for need in found["sam"]["sam3_tracker"]["needs"]["weights"]] == ["sam3"]
    assert found["clip"]["tiny"]["needs"] == {"weights": [], "packages": [], "settings": []}
    assert found["clip"]["folder"]["needs"]["settings"] == ["clip.model"]
    busi = {need["name"] for need in found["experiment"]["busi_zeroshot"]["needs"]["weights"]}
    assert busi == {"biomedclip_finetuned", "sam_vit_h"}


def test_weights_are_here_once_their_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(tmp_path))
    assert groups_info(["sam"])["weights_folder"] == str(tmp_path)
    assert not choices("sam")["sam"]["vit_b"]["needs"]["weights"][0]["here"]
    for file in catalogue()["sam_vit_b"].files:
        (tmp_path / file.path).touch()
        os.truncate(tmp_path / file.path, file.size or 1)  # a sparse file
    need = choices("sam")["sam"]["vit_b"]["needs"]["weights"][0]
    assert (need["here"], need["state"]) == (True, "here")


def test_costs_are_those_of_the_committed_tables() -> None:
    found = choices("clip", "text_segmenter", "saliency", "sam")
    with FULL_SIZE.open() as file:
        for row in csv.DictReader(file):
            cost = found[row["group"]][row["choice"]]["cost"]
            assert cost["full_size_image_s"] == float(row["image_s"])
            assert cost["full_size_peak_gb"] == float(row["peak_gb"])
    with SAM_FULL_SIZE.open() as file:
        for row in csv.DictReader(file):
            cost = found["sam"][row["sam"]]["cost"]
            assert cost["full_size_image_s"] == float(row["encode_s"])
            assert cost["full_size_box_s"] == float(row["box_s"])
    with SALIENCY.open() as file:
        for row in csv.DictReader(file):
            cost = found["saliency"][row["saliency"]]["cost"]
            assert cost["embedded_image_s"] == float(row["processor_seconds_an_image"])
    assert found["clip"]["tiny"]["cost"] == {}


@pytest.mark.parametrize(
    ("group", "choice", "package"),
    [
        ("postprocess", "crf", "pydensecrf"),
        ("fusion", "staple", "SimpleITK"),
        ("adaptation", "lora", "peft"),
        ("logger", "wandb", "wandb"),
        ("nnunet", "2d_cyclic", "nnunetv2"),
        ("hydra/launcher", "slurm", "submitit"),
    ],
)
def test_packages_beyond_the_core_are_named(group: str, choice: str, package: str) -> None:
    (need,) = choices(group)[group][choice]["needs"]["packages"]
    assert need["name"] == package
    assert need["install"]


def test_choices_of_ones_own_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "sam").mkdir(parents=True)
    (tmp_path / "conf" / "sam" / "mine.yaml").write_text("# My own.\ndefaults:\n  - vit_b\ncheckpoint: ???\n")
    monkeypatch.chdir(tmp_path)
    mine = choices("sam")["sam"]["mine"]
    assert mine["about"] == "My own."
    assert mine["needs"]["settings"] == ["sam.checkpoint"]


def test_an_unknown_group_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no group 'saliencey'; did you mean saliency"):
        groups_info(["saliencey"])
    assert "did you mean clip?" in refusal(capsys, ["info", "clipp"])


def test_the_table_names_what_is_chosen_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    from medsam_exp.cli.main import main

    assert main(["info", "postprocess"]) == 0
    said = capsys.readouterr().out
    assert "postprocess: map to coarse mask (kmeans without a word)" in said
    assert "package pydensecrf" in said
