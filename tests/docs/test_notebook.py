"""The notebook runs from top to bottom on the embedded models, and is stored without what it prints."""

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "quickstart.ipynb"
PICTURES = 7
"""The scans, then the steps of six answers."""


@pytest.fixture(scope="module")
def notebook() -> "nbformat.NotebookNode":  # type: ignore[name-defined]  # noqa: F821
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (make setup)")
    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    return found


def test_it_is_stored_without_results(notebook) -> None:  # type: ignore[no-untyped-def]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


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
    assert sum("text/html" in data for data in shown) == 2, "the tables of the sweep and of the own images"
    assert (tmp_path / "outputs" / "sweeps" / "notebook").is_dir()
    (summary,) = tmp_path.glob("outputs/runs/mine/*/summary.json")
    assert (summary.parent / "report.html").is_file()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "2 of 2 jobs done" in printed
    assert "sam=tiny                    ready" in printed


def _shown(cell) -> list[dict[str, object]]:  # type: ignore[no-untyped-def]
    return [output.get("data", {}) for output in cell.get("outputs", ())]
