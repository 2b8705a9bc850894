"""Names that a package offers at its top without importing its modules before one is used (PEP 562)."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose modules are imported when a name is used.

    Args:
        package: its `__name__`.
        names: by the module, below the package, that has them.
    """
    module_of = {name: module for module, names_of_it in names.items() for name in names_of_it}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    def listed() -> list[str]:
        return sorted(module_of)

    return get, listed, list(module_of)
