"""The one-way data flow and the readers of true masks, read from the syntax trees."""

import ast
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)
PACKAGE = Path(__file__).resolve().parent.parent / "medsam_exp"

ROOMS = (
    "runtime",
    "types",
    "metrics",
    "data",
    "text",
    "clip",
    "masks",
    "saliency",
    "sam",
    "text_segmenter",
    "nnunet",
    "training",
    "stages",
    "config",
    "engine",
    "report",
    "curation",
    "sweep",
    "cli",
    "testing",
    "__main__",
)
"""One room a layer, the lowest first: a module imports its own room and rooms before it, no others."""
LOOSE = {"__init__.py", "__main__.py", "types.py"}
CONF = PACKAGE.parent / "conf"
ELSEWHERE = {
    "calibration": "masks/presence",
    "component_filter": "masks/component_filter",
    "component_ablation": "sweep",  # rows of the paper's table 4
    "experiment": "stages",
    "fit": "training",
    "hydra": "cli",
    "limits": "runtime",
    "mask_filter": "masks/component_filter",
    "optimizer": "training",
    "pairs": "data",
    "paths": "config",
    "retrieval": "metrics",
    "scheduler": "training",
    "trainer": "training",
    "tuned": "config",
    "wandb_sweep": "sweep",
    "ensemble": "nnunet",
}
"""Configuration groups without a folder of their name: where their code is."""
MOST_PUBLIC_NAMES = 18
INSTANTIATE_ONLY_IN = "config/build.py"
GROUND_TRUTH_READERS = {
    "data",  # offers it
    "types",  # declares it
    "metrics",  # scores masks it is given
    "stages/evaluate.py",
    "stages/calibrate.py",  # fits the presence score; never on the test split
    "training/sam_data.py",  # training the tiny SAM, a declared reader
    "stages/weak_label.py",  # labels of the fully supervised reference
    "stages/calibrate_ensemble.py",  # threshold and temperature; never on the test split
    "stages/uncertainty.py",  # whether uncertainty tells errors
    "engine/input_digests.py",  # digests only
    "report/results.py",  # the report's figures
    "sweep/report/images.py",  # the same, of a sweep
    "testing/data.py",  # checks a dataset, no run
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
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _layer(room: str) -> int:
    assert room in ROOMS, f"{room} is no room; give it a place in ROOMS"
    return ROOMS.index(room)


def _own_imports(name: str) -> set[str]:
    """Modules and folders of the package that a module imports, as paths without suffix."""
    return {
        other.removeprefix("medsam_exp.").replace(".", "/")
        for other in _imports(name)
        if "medsam_exp." in other
    }


def test_imports_go_one_way() -> None:
    wrong = []
    for name in MODULES:
        if name == "__init__.py":
            continue
        rooms = {other.split("/")[0] for other in _own_imports(name)}
        above = [room for room in rooms if _layer(room) > _layer(_room(name))]
        wrong += [f"{name} imports {room}, which stands above it" for room in sorted(above)]
    assert not wrong


def test_no_modules_import_each_other() -> None:
    """Neither directly nor in a circle: modules that import nothing unvisited are taken away until none is left."""
    left = {name: {f"{other}.py" for other in _own_imports(name)} & set(MODULES) - {name} for name in MODULES}
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    assert not left


def test_the_package_is_rooms_and_three_loose_modules() -> None:
    assert {name for name in MODULES if "/" not in name} == LOOSE
    assert {_room(name) for name in MODULES if "/" in name} <= set(ROOMS)


def test_every_group_of_the_configuration_has_its_folder() -> None:
    """A folder of the same name, at the top or in a room, or a stated place."""
    folders = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if (path / "__init__.py").is_file()}
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    named = {folder.name for folder in folders}
    assert not groups - named - set(ELSEWHERE)
    assert not [
        place for group, place in ELSEWHERE.items() if group not in groups or not (PACKAGE / place).is_dir()
    ]


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
    assert names <= {INSTANTIATE_ONLY_IN}


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
        if used & {"dump", "dumps", "JSONEncoder"} and name != "runtime/json_text.py":
            wrong.append(name)
    assert not wrong


def test_the_test_of_ground_truth_readers_can_fail() -> None:
    assert "read_ground_truth" in MODULES["stages/evaluate.py"]


def test_no_module_grows_into_two_rooms() -> None:
    kinds = (ast.FunctionDef, ast.ClassDef)
    offers = {
        name: [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
        for name, tree in TREES.items()
    }
    assert not {name: len(names) for name, names in offers.items() if len(names) > MOST_PUBLIC_NAMES}
