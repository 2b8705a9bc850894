"""Names at the top of the package and of its rooms: all there, typed alike, loaded when used; examples that run."""

import ast
import doctest
import subprocess
import sys
from importlib import import_module

import pytest

import medsam_exp
from tests.conftest import ROOT

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in (ROOT / "medsam_exp").rglob("__init__.py")
    if "attach_stub(" in path.read_text()
)


ROOMS = ("losses", "metrics", "saliency")
"""Modules among the names at the top; what they hold has its own examples."""


@pytest.mark.parametrize("package", PACKAGES)
def test_what_type_checkers_see_is_what_there_is(package: str) -> None:
    module = import_module(package)
    stub = ast.parse((ROOT / package.replace(".", "/") / "__init__.pyi").read_text())
    seen = {
        alias.asname: (f"{package}.{statement.module or ''}".rstrip("."), alias.name)
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert sorted(map(str, seen)) == dir(module) == sorted(module.__all__)
    for name, (place, there) in seen.items():
        assert getattr(module, str(name)) is getattr(import_module(place), there)
        assert not (ROOT / package.replace(".", "/") / f"{name}.py").exists(), "a module would hide the name"


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(AttributeError, match=r"medsam_exp.* nowhere"):
        medsam_exp.nowhere  # noqa: B018


def test_importing_the_rooms_loads_nothing_heavy() -> None:
    names = [name for name in PACKAGES if name != "medsam_exp.embedded"]
    code = (
        f"import sys, {', '.join(names)}; print({{'torch', 'hydra', 'numpy', 'pandas'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [name for name in medsam_exp.__all__ if name not in ROOMS])
def test_examples_of_the_names_at_the_top(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    thing = getattr(medsam_exp, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs={})
    assert example.examples, f"{name} has no example"
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed
    assert not failed, "".join(said)
