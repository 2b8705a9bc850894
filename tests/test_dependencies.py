"""What the code imports is what pyproject.toml declares; and a run needs the core alone."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from medsam_exp.runtime.extras import EXTRAS, missing, require
from medsam_exp.types import UserError
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOR_DEVELOPERS = {"dev", "docs", "test"}
OWN = {"medsam_exp", "hydra_plugins.medsam_exp_launchers"}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "gdcm": "python-gdcm",
    "hydra": "hydra-core",
    "hydra_plugins.hydra_submitit_launcher": "hydra-submitit-launcher",
    "open_clip": "open-clip-torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""By the name under which one imports them, where that is another."""
PARTS = ("medsam_exp", "hydra_plugins")
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for part in PARTS
    for path in sorted((ROOT / part).rglob("*.py"))
}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str | None = None) -> set[str]:
    """Distributions of the core, or of an extra with those that it includes."""
    stated = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found: set[str] = set()
    for each in stated:
        included = re.fullmatch(r"medsam-exp\[(.+)\]", each)
        if included:
            found |= set().union(*(declared(name) for name in included[1].split(",")))
        else:
            found.add(plain(re.split(r"[\s<>=!~;\[]", each)[0]))
    return found


def modules_of(statement: ast.stmt) -> list[str]:
    """Dotted names that an import statement loads; of `from a import b` also "a.b", which may be a module."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        return [statement.module, *(f"{statement.module}.{alias.name}" for alias in statement.names)]
    return []


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported: not those of functions, nor for type checkers alone."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield statement
        for inner in ("body", "orelse", "finalbody"):
            yield from at_import(getattr(statement, inner, []))


def distribution(module: str) -> str | None:
    """What brings a module; None for Python's own and this project's."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names or any(f"{module}.".startswith(f"{own}.") for own in OWN):
        return None
    if top == "hydra_plugins":
        top = ".".join(module.split(".")[:2])
        if top == "hydra_plugins":
            return None
    return DISTRIBUTIONS.get(top, plain(top))


def eager(name: str) -> set[str]:
    """Modules that a module loads when it is imported."""
    return {each for statement in at_import(TREES[name].body) for each in modules_of(statement)}


def dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


CORE = declared()
ALL = CORE | declared("all") | declared("crf")
NEED_EXTRAS = {
    name for name in TREES if any(found not in CORE for each in eager(name) if (found := distribution(each)))
}
"""Modules that import an extra at their top."""


def test_every_import_is_declared() -> None:
    wrong = [
        f"{name} imports {each}, but pyproject.toml does not declare {found}"
        for name, tree in TREES.items()
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for each in modules_of(statement)
        if (found := distribution(each)) and found not in ALL
    ]
    assert not wrong


def test_what_imports_an_extra_at_its_top_is_itself_imported_within_functions() -> None:
    wrong = [
        f"{name} imports {dotted(other)}, which imports an extra at its top"
        for other in NEED_EXTRAS
        for name in TREES
        if dotted(other) in eager(name)
    ]
    assert not wrong


def test_every_declared_package_is_of_use() -> None:
    imported = {
        found
        for tree in TREES.values()
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for each in modules_of(statement)
        if (found := distribution(each))
    }
    by_name = {
        "plotly",
        "pyarrow",
        "tensorboard",
        "python-gdcm",
        "dynamic-network-architectures",
    }  # loaded by name, or by other packages
    assert ALL - imported == by_name


def test_all_holds_every_extra_of_users_but_the_crf_which_must_be_compiled() -> None:
    users = set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS - {"all", "crf"}
    assert declared("all") == set().union(*(declared(extra) for extra in users))
    locked = {
        plain(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)
    }
    assert CORE | declared("all") <= locked


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_that_a_sentence_names_brings_the_package(package: str) -> None:
    assert distribution(package) in declared(EXTRAS[package].name)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError) as caught:
        require("optuna")
    assert str(caught.value) == missing("optuna")
    assert str(caught.value) == (
        "the stage tune needs the package optuna, which is not installed: pip install 'medsam-exp[search]' "
        "(in a checkout: make setup)"
    )
    monkeypatch.undo()
    require("torch")


def test_a_search_without_optuna_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "medsam_exp.training.search.study", raising=False)
    with pytest.raises(UserError, match="the stage tune needs the package optuna"):
        importlib.import_module("medsam_exp.training.search.study")


WITHOUT_EXTRAS = """
import importlib, sys, warnings
blocked, modules = (text.split(",") for text in sys.argv[1:3])
sys.modules |= dict.fromkeys(blocked)  # None: importing it fails as if it were not installed
warnings.simplefilter("error", UserWarning)
for name in modules:
    importlib.import_module(name)
from hydra.core.plugins import Plugins
from medsam_exp.config.schema import check
from tests.compose import composed
Plugins.instance()
check(composed("+experiment=demo"))
check(composed("data=phantom_classes", "sam=tiny", "prompt=points"))
"""


def test_all_that_needs_no_extra_works_without() -> None:
    blocked = [name for name in import_names() if distribution(name) not in CORE]
    modules = [dotted(name) for name in TREES if name not in NEED_EXTRAS and "hydra_plugins" not in name]
    command = [sys.executable, "-c", WITHOUT_EXTRAS, ",".join(blocked), ",".join(modules)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def import_names() -> set[str]:
    """Names of all other packages that the code imports, and of those that others load for it."""
    found = {
        each.split(".")[0]
        for tree in TREES.values()
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for each in modules_of(statement)
        if distribution(each) and not each.startswith("hydra_plugins.")
    }
    return found | set(EXTRAS)
