"""The one-way data flow and the ground-truth firewall, read from the syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "medsam_exp"

# Lower layers first; a module may import its own layer's package or anything lower.
LAYERS = (
    {"types", "seeding", "digests", "distributed", "locks", "nodes", "progress", "timing", "conf_folder"},
    {
        "clip",
        "data",
        "fusion",
        "grounding",
        "losses",
        "metrics",
        "nnunet",
        "nnunet_schedule",
        "postprocess",
        "presence",
        "prompts",
        "pruner",
        "saliency",
        "sam",
        "search",
        "text",
        "text_saliency",
        "uncertainty",
        "veto",
        "weak_label",
    },
    {"lightning", "artifacts"},
    {"stages"},
    {
        "tracking",
        "sweep",
        "housekeeping",
        "hygiene",
        "doctor",
        "needs",
        "weights",
        "config",
        "meaning",
        "signatures",
        "build",
        "report",
        "engine",
        "pictures",
        "summary",
        "trials",
        "tuned",
        "input_digests",
        "other_images",
        "presence_checks",
        "grounding_results",
        "weak_results",
        "weak_pictures",
        "mask_files",
        "firewall",
        "leaks",
        "declarations",
        "write_back",
        "default_settings",
        "start_command",
    },
    {"runner", "interactive"},
    {"worker", "segment", "app", "entry"},
    {"cli"},
    {"__main__"},
)
INSTANTIATE_ONLY_IN = {"build"}
GROUND_TRUTH_READERS = {
    "data",  # offers it
    "types",  # declares it
    "metrics",  # scores masks it is given
    "stages/evaluate.py",
    "stages/calibrate.py",  # fits the presence score; never on the test split
    "lightning/sam_data.py",  # training the tiny SAM, a declared reader
    "stages/weak_label.py",  # labels of the fully supervised reference
    "stages/calibrate_ensemble.py",  # threshold and temperature; never on the test split
    "stages/uncertainty.py",  # whether uncertainty tells errors
    "input_digests.py",  # digests only
    "pictures.py",  # the report's pictures
    "sweep/report/images.py",  # the same, of a sweep
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _imports(path: Path) -> set[str]:
    """First name below `medsam_exp` of every import of the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [node.module] if node.module != "medsam_exp" else [f"medsam_exp.{a.name}" for a in node.names]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("medsam_exp.")}
    return found


def _layer(part: str) -> int:
    found = [number for number, layer in enumerate(LAYERS) if part in layer]
    assert found, f"{part} stands in no layer; give it one in LAYERS"
    return found[0]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_go_one_way(path: Path) -> None:
    if _name(path) == "__init__.py":
        return
    own = _name(path).split("/")[0].removesuffix(".py")
    for imported in _imports(path) - {own}:
        assert _layer(imported) <= _layer(own), f"{_name(path)} imports {imported}, which stands above it"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_methods_know_no_configuration_and_no_tracking(path: Path) -> None:
    own = _name(path).split("/")[0].removesuffix(".py")
    if own == "__init__" or _layer(own) > _layer("stages"):
        return
    roots = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not roots & {"hydra", "omegaconf", "wandb"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_one_module_instantiates(path: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert "instantiate" not in names or path.stem in INSTANTIATE_ONLY_IN


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_declared_readers_touch_ground_truth(path: Path) -> None:
    name = _name(path)
    touched = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"read_ground_truth", "ground_truth_digest"}
    }
    allowed = name in GROUND_TRUTH_READERS or name.split("/")[0].removesuffix(".py") in GROUND_TRUTH_READERS
    assert not touched or allowed, f"{name} touches {touched}"


def test_the_firewall_test_can_fail() -> None:
    readers = [path for path in MODULES if "read_ground_truth" in path.read_text()]
    assert any(_name(path) == "stages/evaluate.py" for path in readers)


def test_no_file_grows_into_two_rooms() -> None:
    long = {_name(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 300}
    assert not long
