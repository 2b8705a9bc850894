"""Texts under stress: the page's table holds what is committed."""

import re

import pytest

from experiments.reproduce.expected import read_expected
from experiments.reproduce.plan import TABLES, read_table

SCALE = "phantom-large"
COLUMNS = {"Coarse DSC": 2, "SAM DSC": 4, "Presence": 8}
"""Of the page's table, by measure."""


def rows() -> dict[tuple[str, str], list[str]]:
    """Cells of the page's table by text and scan."""
    page = (TABLES / "text_stress" / "README.md").read_text()
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"
    ]
    return {(cells[1], cells[0]): cells for cells in found[2:]}


@pytest.mark.parametrize("measure", COLUMNS)
def test_the_page_holds_what_is_committed(measure: str) -> None:
    cells, shown = read_expected("text_stress", SCALE).cells, rows()
    expected = {key[:2]: figure.mean for key, figure in cells.items() if key[2] == measure}
    assert shown.keys() == expected.keys()
    for key, mean in expected.items():
        written = re.match(r"[\d.]+", shown[key][COLUMNS[measure]])
        assert written is not None
        decimals = len(written[0].partition(".")[2])
        assert float(written[0]) == pytest.approx(mean, abs=0.6 * 10**-decimals)


def test_differences_are_to_the_description_of_the_same_scans() -> None:
    found = rows()
    for (_text, scan), cells in found.items():
        first = found["description", scan]
        for column in (2, 4):
            own, base = (float(each[column].split()[0]) for each in (cells, first))
            written = cells[column + 1].split()[0]
            assert written == "reference" or float(written) == pytest.approx(own - base, abs=0.0011)


def test_every_text_of_the_sweep_has_a_row() -> None:
    (sweep,) = read_table("text_stress", SCALE).sweeps
    assert {row.label for row in sweep.rows} == {text for text, _ in rows()}
