"""The one-way data flow and the ground-truth firewall, read from the syntax trees."""

import ast
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)
PACKAGE = Path(__file__).resolve().parent.parent / "medsam_exp"

# Lower layers first; a module may import its own layer's package or anything lower.
LAYERS = (
    {
        "types",
        "seeding",
        "digests",
        "finite",
        "json_text",
        "distributed",
        "locks",
        "nodes",
        "progress",
        "timing",
        "conf_folder",
        "checkpoint",
        "stopping",
    },
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
        "planned_objects",
        "other_images",
        "presence_checks",
        "sam_checks",
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
        "overrides",
    },
    {"runner", "interactive"},
    {"worker", "segment", "app", "entry"},
    {"cli"},
    {"__main__"},
)
MOST_PUBLIC_NAMES = 18
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
MODULES = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(source) for name, source in MODULES.items()}


def _nodes(name: str, kind: type[Node]) -> list[Node]:
    """Nodes of one kind in a module's syntax tree."""
    return [node for node in ast.walk(TREES[name]) if isinstance(node, kind)]


def _room(name: str) -> str:
    """First part of a module's path: its folder, or itself when it is loose."""
    return name.split("/")[0].removesuffix(".py")


def _imports(name: str) -> set[str]:
    """Dotted names of all that a module imports."""
    found = {alias.name for node in _nodes(name, ast.Import) for alias in node.names}
    for node in _nodes(name, ast.ImportFrom):
        if node.module == "medsam_exp":
            found |= {f"medsam_exp.{alias.name}" for alias in node.names}
        elif node.module:
            found.add(node.module)
    return found


def _layer(part: str) -> int:
    found = [number for number, layer in enumerate(LAYERS) if part in layer]
    assert found, f"{part} stands in no layer; give it one in LAYERS"
    return found[0]


def test_imports_go_one_way() -> None:
    wrong = []
    for name in MODULES:
        if name == "__init__.py":
            continue
        rooms = {other.split(".")[1] for other in _imports(name) if other.startswith("medsam_exp.")}
        above = [room for room in rooms - {_room(name)} if _layer(room) > _layer(_room(name))]
        wrong += [f"{name} imports {room}, which stands above it" for room in sorted(above)]
    assert not wrong


def test_methods_know_no_configuration_and_no_tracking() -> None:
    wrong = []
    for name in MODULES:
        if name == "__init__.py" or _layer(_room(name)) > _layer("stages"):
            continue
        roots = {other.split(".")[0] for other in _imports(name)}
        wrong += [f"{name} imports {root}" for root in sorted(roots & {"hydra", "omegaconf", "wandb"})]
    assert not wrong


def test_only_one_module_instantiates() -> None:
    names = {name for name in MODULES if any(node.id == "instantiate" for node in _nodes(name, ast.Name))}
    assert {Path(name).stem for name in names} <= INSTANTIATE_ONLY_IN


def test_only_declared_readers_touch_ground_truth() -> None:
    wrong = []
    for name in MODULES:
        touched = {node.attr for node in _nodes(name, ast.Attribute)} & {
            "read_ground_truth",
            "ground_truth_digest",
        }
        if touched and not {name, _room(name)} & GROUND_TRUTH_READERS:
            wrong.append(f"{name} touches {sorted(touched)}")
    assert not wrong


def test_only_one_module_makes_json() -> None:
    """Python's own writer makes NaN, which is no JSON."""
    wrong = []
    for name in MODULES:
        used = {node.attr for node in _nodes(name, ast.Attribute)} | {
            node.id for node in _nodes(name, ast.Name)
        }
        if used & {"dump", "dumps", "JSONEncoder"} and name != "json_text.py":
            wrong.append(name)
    assert not wrong


def test_the_firewall_test_can_fail() -> None:
    assert "read_ground_truth" in MODULES["stages/evaluate.py"]


def test_no_module_grows_into_two_rooms() -> None:
    kinds = (ast.FunctionDef, ast.ClassDef)
    offers = {
        name: [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
        for name, tree in TREES.items()
    }
    assert not {name: len(names) for name, names in offers.items() if len(names) > MOST_PUBLIC_NAMES}
