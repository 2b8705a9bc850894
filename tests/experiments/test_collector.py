"""Tables from made-up run folders: whole, partial, failed and missing."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace

import pytest

from experiments.reproduce.expected import read_expected
from experiments.reproduce.launch import launch
from experiments.reproduce.plan import Table, read_table
from experiments.reproduce.renew import renew
from experiments.reproduce.results import NOT_STARTED, Results, read_results
from experiments.reproduce.sheets import lines_of, misses, sheets_of, write_table
from medsam_exp.sweep.sheets import markdown
from medsam_exp.types import UserError
from tests.sweep.conftest import make_sweep

AXES = {"saliency": ["m2ib", "gradcam"], "seed": ["0", "1", "2"]}
RUNS = """
title: A made-up table
scales:
  paper:
    measures: {DSC: dsc, Coarse: coarse/dsc}
    percent: true
    average: All
    sweeps:
      - {options: [+experiment=demo, name=first, "saliency=m2ib,gradcam", +sweep=seeds], columns: First, rows: ROWS}
      - {options: [+experiment=demo, name=second, "saliency=m2ib,gradcam", +sweep=seeds], columns: Second, rows: ROWS}
    absent: {SaLIP: it is made by others}
"""
EXPECTED = {
    "paper": {
        "source": "Made up.",
        "tolerance": {"DSC": 50.0},
        "rows": {
            "SaLIP": {"First": {"DSC": {"mean": 1.0, "std": 1.0}}},
            "m2ib": {
                "First": {"DSC": {"mean": 80.0, "std": 2.0}},
                "All": {"DSC": {"mean": 81.0, "std": 2.0}},
            },
            "gradcam": {"First": {"DSC": {"mean": 0.0, "std": 2.0}}},
        },
        "errors": [{"row": "m2ib", "column": "All", "measure": "DSC", "printed": 81.0, "follows": 79.0}],
    }
}


def made_up(tmp_path: Path, rows: str = "[saliency]") -> Table:
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up" / "runs.yaml").write_text(RUNS.replace("ROWS", rows))
    (tmp_path / "made_up" / "expected.json").write_text(json.dumps(EXPECTED))
    return read_table("made_up", "paper", [f"paths.outputs={tmp_path}/outputs"], tmp_path)


def ran(table: Table, failed: tuple[Mapping[int, str], ...] = ({}, {})) -> None:
    """Lay down each of the table's sweeps, as far as `failed` names one."""
    for sweep, errors in zip(table.sweeps, failed, strict=False):
        folder = sweep.folder()
        folder.parent.mkdir(parents=True)
        make_sweep(folder, AXES, errors)


def dsc(folder: Path, *jobs: int) -> list[float]:
    return [
        json.loads((folder / str(job) / "summary.json").read_text())["metrics"]["sam/dsc"]["mean"]
        for job in jobs
    ]


def test_seeds_are_averaged_and_all_is_the_mean_of_the_columns(tmp_path: Path) -> None:
    table = made_up(tmp_path)
    ran(table)
    results = read_results(table)
    first = results.figures["m2ib", "First", "DSC"]
    each = dsc(table.sweeps[0].folder(), 0, 1, 2)
    assert (first.mean, first.std, first.seeds) == (pytest.approx(mean(each)), pytest.approx(stdev(each)), 3)
    half = 4.303 * stdev(each) / 3**0.5
    assert first.ci95 == pytest.approx((mean(each) - half, mean(each) + half), abs=1e-4)
    every = results.figures["m2ib", "All", "DSC"]
    assert every.mean == pytest.approx((first.mean + results.figures["m2ib", "Second", "DSC"].mean) / 2)
    assert not results.lost


def test_failed_and_missing_runs_are_named_and_nothing_is_invented(tmp_path: Path) -> None:
    table = made_up(tmp_path)
    ran(table, ({1: "out of memory", 3: "a", 4: "a", 5: "a"},))  # the second sweep never ran
    results = read_results(table)
    assert results.figures["m2ib", "First", "DSC"].seeds == 2
    assert results.lost["m2ib", "First"] == "out of memory (1 of 3 runs)"
    assert results.lost["m2ib", "Second"] == NOT_STARTED
    assert not [key for key in results.figures if key[0] == "gradcam" or key[1] in ("Second", "All")]
    expected = read_expected("made_up", "paper", tmp_path)
    lines = lines_of(table, results, expected)
    text = markdown(sheets_of(table, lines, results, expected)["dsc"])
    assert "m2ib, First: out of memory (1 of 3 runs)" in text.replace("\\", "")
    assert misses(table, lines, results) == [
        "made_up, m2ib, All, DSC: was not measured",
        "made_up, gradcam, First, DSC: a (3 of 3 runs)",
    ]


def test_ours_stands_beside_theirs_in_their_unit(tmp_path: Path) -> None:
    table = made_up(tmp_path)
    ran(table)
    results, expected = read_results(table), read_expected("made_up", "paper", tmp_path)
    lines = lines_of(table, results, expected)
    sheets = sheets_of(table, lines, results, expected)
    write_table(table, lines, sheets, tmp_path / "made")
    cells = {
        (c["row"], c["column"], c["measure"]): c
        for c in json.loads((tmp_path / "made" / "table.json").read_text())["cells"]
    }
    figure = results.figures["m2ib", "First", "DSC"]
    assert cells["m2ib", "First", "DSC"]["ours"]["mean"] == pytest.approx(100 * figure.mean)
    assert cells["m2ib", "First", "DSC"]["difference"] == pytest.approx(100 * figure.mean - 80)
    every = 100 * results.figures["m2ib", "All", "DSC"].mean
    assert cells["m2ib", "All", "DSC"]["difference"] == pytest.approx(every - 79), "to what the columns give"
    assert cells["SaLIP", "First", "DSC"]["ours"] is None
    assert cells["gradcam", "First", "DSC"]["within"] is (
        100 * results.figures["gradcam", "First", "DSC"].mean <= 50
    )
    text = (tmp_path / "made" / "table.md").read_text()
    assert "printed 81, but the paper's own columns give 79" in text
    assert "SaLIP: it is made by others" in text
    assert "not a medical device" in text


def test_a_cell_of_two_methods_is_refused(tmp_path: Path) -> None:
    table = made_up(tmp_path, "one row")
    ran(table)
    with pytest.raises(UserError, match="has 2 jobs for one cell; name what tells them apart"):
        read_results(table)


def test_the_papers_numbers_are_never_renewed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the paper's numbers are not ours to renew"):
        renew(made_up(tmp_path), Results({}, {}))


def test_equal_sweeps_run_once_and_failures_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []

    def fake(command: list[str], **_: object) -> SimpleNamespace:
        typed.append(command)
        return SimpleNamespace(returncode=int("name=second" in command))

    monkeypatch.setattr("experiments.reproduce.launch.subprocess.run", fake)
    first, second = made_up(tmp_path).sweeps
    again = read_table("made_up", "paper", [f"paths.outputs={tmp_path}/outputs"], tmp_path).sweeps[0]
    said: list[str] = []
    failed = launch([first, second, again], tmp_path / "logs", 1, said.append)
    assert [command[2:] for command in typed] == [["-m", *first.options], ["-m", *second.options]]
    assert [line.split()[0] for line in said] == ["done", "failed"]
    assert len(failed) == 1
    assert "name=second" in failed[0]
