"""The notebook runs from top to bottom on the embedded models, and is stored with what it printed."""

import os
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "quickstart.ipynb"
PICTURES = 7
"""The scans, then the steps of six answers."""
LARGEST = 600_000
OWN_PLACE = re.compile(r"(?<![\w./])/(?:home|root|tmp|work)/\w")
"""Where something lay on the machine where it ran."""


@pytest.fixture(scope="module")
def notebook() -> "nbformat.NotebookNode":  # type: ignore[name-defined]  # noqa: F821
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (make setup)")
    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    return found


def test_it_carries_what_one_run_from_top_to_bottom_printed(notebook) -> None:  # type: ignore[no-untyped-def]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum("image/png" in data for cell in code for data in _shown(cell)) == PICTURES
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert NOTEBOOK.stat().st_size < LARGEST
    text = NOTEBOOK.read_text()
    assert not OWN_PLACE.findall(text)
    assert "processor time" in notebook.cells[0].source, "it says how long it takes"


def test_it_imports_what_is_offered_alone(notebook) -> None:  # type: ignore[no-untyped-def]
    source = "\n".join(cell.source for cell in notebook.cells)
    assert set(re.findall(r"(?:from|import) (medsam_exp[\w.]*)", source)) == {"medsam_exp"}


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (make setup)")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (make setup)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "no_network"))))
    for name in [name for name in os.environ if name.startswith("MEDSAM_")]:
        monkeypatch.delenv(name)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    shown = [data for cell in notebook.cells for data in _shown(cell)]
    assert sum("image/png" in data for data in shown) == PICTURES
    assert sum("text/html" in data for data in shown) == 3, (
        "the tables of the sweep, the own images and the choices"
    )
    assert (tmp_path / "outputs" / "sweeps" / "notebook").is_dir()
    (summary,) = tmp_path.glob("outputs/runs/mine/*/summary.json")
    assert (summary.parent / "report.html").is_file()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "2 of 2 jobs done" in printed


def _shown(cell) -> list[dict[str, object]]:  # type: ignore[no-untyped-def]
    return [output.get("data", {}) for output in cell.get("outputs", ())]
