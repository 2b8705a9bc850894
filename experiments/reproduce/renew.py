"""Make what was measured what to expect, for a table's scale of drawn scans; never the paper's numbers."""

import json
from typing import Any

from experiments.reproduce.expected import EXPECTED_FILE, PAPER
from experiments.reproduce.plan import TABLES, Table
from experiments.reproduce.results import Results
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.types import UserError

TOLERANCE = 0.03
"""Of figures between 0 and 1 that have no tolerance yet: other machines round differently."""
_DIGITS = 3


def renew(table: Table, results: Results) -> None:
    """Replace the scale's rows in expected.json; tolerances that were set stay.

    Raises:
        UserError: it is the paper's scale, or something could not be measured.
    """
    if table.scale == PAPER:
        raise UserError("the paper's numbers are not ours to renew")
    if results.lost:
        (row, column), why = next(iter(results.lost.items()))
        raise UserError(f"{table.name} has no figure of {row}, {column} ({why}), so it is not renewed")
    path = TABLES / table.name / EXPECTED_FILE
    content = json.loads(path.read_text()) if path.is_file() else {}
    before = content.get(table.scale, {})
    rows: dict[str, Any] = {}
    for (row, column, measure), figure in results.figures.items():
        cell = {"mean": figure.mean, "ci95": figure.ci95, "n": figure.n}
        rows.setdefault(row, {}).setdefault(column, {})[measure] = _rounded(cell)
    tolerance = dict.fromkeys(table.measures, TOLERANCE) | before.get("tolerance", {})
    content[table.scale] = {"source": before.get("source", ""), "tolerance": tolerance, "rows": rows}
    write_atomically(path, (one_figure_a_line(content) + "\n").encode())


def one_figure_a_line(content: Any, depth: int = 0) -> str:
    """JSON whose innermost objects stand on one line each."""
    pad, end = " " * (depth + 1), " " * depth
    nested = isinstance(content, dict) and any(
        isinstance(v, dict | list) and _deep(v) for v in content.values()
    )
    if isinstance(content, dict) and (nested or depth == 0):
        entries = (f"{pad}{json.dumps(k)}: {one_figure_a_line(v, depth + 1)}" for k, v in content.items())
        return "{\n" + ",\n".join(entries) + f"\n{end}}}"
    if isinstance(content, list) and any(isinstance(entry, dict) for entry in content):
        return "[\n" + ",\n".join(f"{pad}{json.dumps(entry)}" for entry in content) + f"\n{end}]"
    return json.dumps(content)


def _deep(content: Any) -> bool:
    return isinstance(content, dict) or any(isinstance(entry, dict) for entry in content)


def _rounded(cell: dict[str, Any]) -> dict[str, Any]:
    bounds = cell["ci95"] and [round(bound, _DIGITS) for bound in cell["ci95"]]
    return cell | {"mean": round(cell["mean"], _DIGITS), "ci95": bounds}
