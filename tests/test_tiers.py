"""The tiers of tests/conftest.py name tests that there are."""

import ast

from tests.conftest import DEFAULT, INTEGRATION, ROOT

FILES = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]


def test_every_name_of_the_integration_tier_begins_a_path() -> None:
    assert [name for name in INTEGRATION if not any(file.startswith(name) for file in FILES)] == []


def test_what_the_default_tests_keep_is_there() -> None:
    for file, names in DEFAULT.items():
        assert file.startswith(INTEGRATION), f"{file} is in the default tests anyway"
        tree = ast.parse((ROOT / "tests" / file).read_text())
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert set(names) <= there, file
