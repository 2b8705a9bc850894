"""What is missing is said in one sentence each before anything runs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.reproduce import __main__ as reproduce
from experiments.reproduce.__main__ import main
from experiments.reproduce.plan import Table, read_table
from experiments.reproduce.preflight import find_missing, missing_lines

RUNS = """
title: A made-up table
scales:
  paper:
    measures: {DSC: dsc}
    options: [OPTIONS]
    sweeps:
      - {options: ["text=generic,subtype", +experiment=busi_zeroshot], columns: Breast, rows: [text]}
      - {options: [+experiment=lung_ct_zeroshot], columns: Lungs, rows: generic}
    absent: {SaLIP: it is made by others, SAMAug: it is made by others}
"""
EMBEDDED = "clip=tiny, sam=tiny, prompt=box"


def made_up(tmp_path: Path, options: str) -> Table:
    (tmp_path / "tables" / "made_up").mkdir(parents=True)
    paths = f"paths.data={tmp_path}/data, paths.weights={tmp_path}/weights"
    text = RUNS.replace("OPTIONS", f"{paths}, {options}")
    (tmp_path / "tables" / "made_up" / "runs.yaml").write_text(text)
    return read_table("made_up", "paper", folder=tmp_path / "tables")


def test_weights_data_and_methods_that_are_not_there_are_named(tmp_path: Path) -> None:
    table = made_up(tmp_path, "clip=biomedclip_finetuned")
    found = {sweep: find_missing(sweep) for sweep in table.sweeps}
    assert all(missing.blocked for missing in found.values())
    lines = missing_lines([table], found)
    assert len(lines) == len(set(lines))
    assert [
        line
        for line in lines
        if line.startswith(f"made_up (Breast): data.root={tmp_path}/data/breast_tumors is")
    ]
    assert [
        line for line in lines if line.startswith(f"made_up (Lungs): data.root={tmp_path}/data/lung_CT is")
    ]
    assert [
        line
        for line in lines
        if f"made_up: sam.checkpoint={tmp_path}/weights/sam_vit_h_4b8939.pth is" in line
    ]
    assert [
        line for line in lines if f"made_up: clip.weights={tmp_path}/weights/biomedclip_finetuned" in line
    ]
    assert lines[-1] == "made_up: no rows 'SaLIP', 'SAMAug': it is made by others"


def test_a_sweep_of_which_one_job_can_run_is_run(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        folder = tmp_path / "data" / "breast_tumors" / f"test_{name}"
        folder.mkdir(parents=True)
        pixels = np.full((32, 32), 200, np.uint8)
        pixels[:8] = 0
        Image.fromarray(pixels if name == "images" else np.where(pixels > 100, 255, 0).astype(np.uint8)).save(
            folder / "a.png"
        )
    breast, lungs = made_up(tmp_path, EMBEDDED).sweeps
    missing = find_missing(breast)
    assert not missing.blocked
    assert len(missing.sentences) == 1, "the sentences about subtypes need each image's class"
    assert "1 of 1 samples have no class (a)" in missing.sentences[0]
    assert find_missing(lungs).blocked


def test_a_scale_of_drawn_scans_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["table6", "--on", "phantom", "--needs"])
    assert capsys.readouterr().out == "1 of 1 sweeps can run\n"


def test_pairs_that_are_not_there_are_named(tmp_path: Path) -> None:
    *_, tuned = read_table("table2", "paper", [f"paths.data={tmp_path}"]).sweeps
    sentences = find_missing(tuned).sentences
    for name in ("roco/val.csv", "medpix_dataset/medpix_dataset.csv"):
        assert any(line.startswith(f"{tmp_path}/{name} is not a file") for line in sentences)


def test_bad_names_end_in_one_sentence() -> None:
    with pytest.raises(SystemExit, match="error: there is no table 'table9'"):
        main(["table9"])
    with pytest.raises(SystemExit, match="error: name a table, or all"):
        main(["trainer=gpu"])


def test_figures_of_other_options_are_not_committed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(reproduce, "renew", lambda *_: pytest.fail("renewed"))
    with pytest.raises(SystemExit, match="so leave seed=3, phantom:text=free away"):
        main(["table6", "--on", "phantom", "--read", "--renew", "seed=3", "phantom:text=free", "workers=1"])
    assert capsys.readouterr().out == "", "before anything runs"
    main(["table6", "--on", "phantom", "--needs", "--renew", "workers=1"])
