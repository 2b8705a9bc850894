"""A package outside the repository adds a saliency method, a prompt, a dataset, a loss, a stage, a measure and a topic.

Its files are those that the pages on extending show, and as many as they say; nothing else is written.
"""

import csv
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from medsam_exp import testing
from medsam_exp.metrics.measures import ALL_MEASURES, FURTHER_MEASURES
from medsam_exp.testing import check_dataset, check_loss, check_metrics, check_prompter
from tests.conftest import ROOT

EXAMPLES = {
    "a saliency method": {"gradient_length"},
    "a prompt": {"deepest_point"},
    "a dataset class": {"squares"},
    "a loss": {"sigmoid"},
    "a stage with settings": {"grown", "small"},
    "a measure": {"balanced"},
    "a topic of the report": {"growth"},
}
"""What is added, as the table of docs/extend-stage.md calls it, and the stems of the example's files."""
STEMS = set().union(*EXAMPLES.values())
_FILE = re.compile(r"cat > (\S+) <<'(EOF_\w+)'\n(.*?)\n\2\n", re.S)


@pytest.mark.parametrize("name", sorted(set(testing.__all__) - {"check_dataset"}))
def test_a_check_takes_its_method_by_position_and_says_so(name: str) -> None:
    first = next(iter(inspect.signature(getattr(testing, name)).parameters.values()))
    assert first.kind is inspect.Parameter.POSITIONAL_ONLY


def shown_files() -> dict[str, str]:
    """Content by path of all files that the pages let the reader write."""
    pages = (ROOT / "docs" / f"extend-{page}.md" for page in ("method", "dataset", "stage"))
    return {path: content + "\n" for page in pages for path, _, content in _FILE.findall(page.read_text())}


def promised() -> dict[str, int]:
    """Number of new files by what is added."""
    rows = re.findall(r"^\| (an? [\w ]+) \| (\d) \|", (ROOT / "docs" / "extend-stage.md").read_text(), re.M)
    return {what: int(files) for what, files in rows}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples as one installed package `clinic` with its folder `conf/`: all modules move there."""
    folder = tmp_path_factory.mktemp("extension")
    files = {path: text for path, text in shown_files().items() if Path(path).stem in STEMS}
    moved = {path: f"clinic/{Path(path).name}" for path in files if path.endswith(".py")}
    moved |= {path: path[path.index("conf/") :] for path in files if path.endswith(".yaml")}
    for path, text in files.items():
        for place in ("my_parts", "medsam_exp.saliency"):
            text = text.replace(f"_target_: {place}.", "_target_: clinic.")
        (folder / moved[path]).parent.mkdir(parents=True, exist_ok=True)
        (folder / moved[path]).write_text(text)
    project = tomllib.loads(shown_files()["clinic/pyproject.toml"])["project"]
    installed = folder / "clinic-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {module}" for name, module in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    return folder


def test_as_many_files_as_promised(package: Path) -> None:
    written = [path for path in package.rglob("*") if path.suffix in (".py", ".yaml")]
    counted = {what: sum(path.stem in stems for path in written) for what, stems in EXAMPLES.items()}
    assert counted == {what: files for what, files in promised().items() if what in EXAMPLES}
    assert len(written) == sum(counted.values())


def test_all_of_it_runs(package: Path, tmp_path: Path) -> None:
    stages = "saliency,coarse_mask,grown,sam_mask,evaluate"
    choices = (
        "data=squares data.count=2 text=description saliency=gradient_length prompt=deepest_point "
        "metrics=balanced +growth=small"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "medsam_exp", "run", "--config-dir", str(package / "conf")),
            *choices.split(),
            f"stages=[{stages}]",
            f"paths.outputs={tmp_path}",
        ],
        cwd=package,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Balanced accuracy" in done.stdout
    assert re.search(r"^growth +DSC", done.stdout, re.M)
    (page,) = tmp_path.glob("runs/*/*/report.html")
    assert "Does a margin help?" in page.read_text()
    (table,) = tmp_path.glob("runs/*/*/per_image.csv")
    rows = list(csv.DictReader(table.open()))
    assert len({row["id"] for row in rows}) == 2
    for row in rows:
        if row["stage"] != "saliency":
            assert 0 <= float(row["balanced_accuracy"]) <= 1
    assert sum(row["stage"] == "grown" for row in rows) == 2


@pytest.fixture
def _measures_as_before() -> Iterator[None]:
    known, further = dict(ALL_MEASURES), list(FURTHER_MEASURES)
    yield
    ALL_MEASURES.clear()
    ALL_MEASURES.update(known)
    FURTHER_MEASURES[:] = further


@pytest.mark.usefixtures("_measures_as_before")
def test_each_passes_its_check(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package)
    check_prompter({"_target_": "clinic.deepest_point.DeepestPoint"}, per_component=False)
    check_dataset({"_target_": "clinic.squares.Squares", "count": 3})
    check_loss({"_target_": "clinic.sigmoid.Sigmoid", "temperature": 0.1, "bias": -10.0})
    check_metrics(
        {"_target_": "clinic.balanced.BalancedMeasures", "nsd_tolerance": 2.0, "tolerance_unit": "px"}
    )
