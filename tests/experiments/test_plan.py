"""Tables as sweeps: every cell is filled by one of them, and what is typed is what stands in the README."""

from pathlib import Path

import pytest

from experiments.reproduce.plan import TABLES, known_tables, read_table
from medsam_exp.types import UserError

EVERY = [(name, scale) for name, scales in known_tables().items() for scale in scales]

RUNS = """
title: A made-up table
scales:
  phantom:
    measures: {DSC: dsc}
    options: [data.count=2]
    sweeps:
      - options: [+experiment=demo, "saliency=m2ib,gradcam", +sweep=seeds]
        columns: Drawn scans
        rows: {rows}
"""


def made_up(tmp_path: Path, rows: str) -> Path:
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up" / "runs.yaml").write_text(RUNS.replace("{rows}", rows))
    return tmp_path


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_every_cell_is_filled_once_and_the_readme_has_the_commands(name: str, scale: str) -> None:
    table = read_table(name, scale)
    cells = [(r.label, c.label) for sweep in table.sweeps for r in sweep.rows for c in sweep.columns]
    assert len(cells) == len(set(cells))
    assert not {row for row, _ in cells} & set(table.absent)
    readme = (TABLES / name / "README.md").read_text()
    assert readme.startswith("# ")
    for sweep in table.sweeps:
        assert sweep.command in readme, "the README says what is typed"


def test_rows_by_axes_and_by_labels(tmp_path: Path) -> None:
    folder = made_up(tmp_path, "[saliency]")
    (sweep,) = read_table("made-up", "phantom", folder=folder).sweeps
    assert [row.label for row in sweep.rows] == ["m2ib", "gradcam"]
    assert len(sweep.grid.jobs) == 6
    assert len(sweep.probes) == 4, "every value once, not every combination"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("[prompt]", "'prompt' is no axis of the sweep; these are seed, saliency"),
        ("{a: {saliency: m2bi}}", "'a' wants saliency=m2bi, which no job of its sweep has"),
    ],
)
def test_rows_that_no_job_fills_are_refused(tmp_path: Path, rows: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_table("made_up", "phantom", folder=made_up(tmp_path, rows))


def test_unknown_names_are_one_sentence() -> None:
    with pytest.raises(UserError, match="there is no table 'table7'; there are table1, table2"):
        read_table("table7", "paper")
    with pytest.raises(UserError, match="has no scale 'phantom-large'; it has paper, phantom"):
        read_table("table3", "phantom-large")


def test_an_option_for_one_dataset_goes_to_its_sweeps_alone() -> None:
    extra = ["busi:data.index=index.csv", "trainer=gpu", "data.class_pattern='a:b'"]
    first, second, *_ = read_table("table3", "paper", extra).sweeps
    assert "data.index=index.csv" in first.options
    assert not any("index.csv" in option for option in second.options)
    assert {"trainer=gpu", "data.class_pattern='a:b'"} <= {*second.options}
