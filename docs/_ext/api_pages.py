"""The pages of the API reference: one for each folder of the package, found anew at every build.

A folder whose `__init__` has `__all__` shows the names therein; any other shows the public names of its modules.
"""

import ast
from pathlib import Path

Pages = dict[str, str]


def api_pages(package: Path) -> Pages:
    """Markdown by file name, with an index.

    Args:
        package: folder of the package, which is read and not imported.
    """
    rooms = {path.parent.name: path.parent for path in sorted(package.glob("*/__init__.py"))}
    pages = {f"{name}.md": _page(package.name, folder) for name, folder in rooms.items()}
    lines = [f"- [`{package.name}.{name}`]({name}.md): {_sentence(folder)}" for name, folder in rooms.items()]
    listed = "\n".join(rooms)
    pages["index.md"] = (
        "# API\n\nWritten from the docstrings, one page for each folder of the package; what the folders may know of "
        "each other is in [Architecture](../../architecture.md).\n\n"
        + "\n".join(lines)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )
    return pages


def as_rst(lines: list[str]) -> list[str]:
    """Lines of a docstring as reStructuredText; examples, from `>>>` to an empty line, stay as they are."""
    found, example = [], False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        found.append(line if example else escaped(line))
    return found


def escaped(line: str) -> str:
    """A line of a docstring as reStructuredText: code in backticks stays code, and no other sign means anything."""
    parts = line.split("`")
    if len(parts) % 2 == 0:  # an odd backtick stands for itself
        return _plain(line).replace("`", "\\`")
    shown = (f"``{part}``" if place % 2 else _plain(part) for place, part in enumerate(parts))
    return "".join(shown).replace("````", "")


def _plain(text: str) -> str:
    for sign in ("\\", "*", "|", "_"):
        text = text.replace(sign, f"\\{sign}")
    return text


def spaced(lines: list[str]) -> list[str]:
    """Lines of a module's docstring with an empty line where the indentation changes, as reStructuredText wants."""
    found: list[str] = []
    for line in lines:
        if found and line.strip() and found[-1].strip() and _indentation(line) != _indentation(found[-1]):
            found.append("")
        found.append(line)
    return found


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _page(package: str, folder: Path) -> str:
    room = f"{package}.{folder.name}"
    init = folder / "__init__.py"
    shown = [f".. automodule:: {room}\n   :members:\n"]
    if "__all__" not in init.read_text():
        inner = (path for path in sorted(folder.rglob("*.py")) if not path.name.startswith("_"))
        shown = [_directive(room, init)]
        shown += [
            _directive(".".join((room, *path.relative_to(folder).with_suffix("").parts)), path)
            for path in inner
        ]
    text = "\n".join(shown)
    return f"# `{room}`\n\n```{{eval-rst}}\n{text}```\n"


def _directive(module: str, path: Path) -> str:
    public = [name for name in _names(path) if not name.startswith("_")]
    members = f"   :members: {', '.join(public)}\n" if public else ""
    return f".. automodule:: {module}\n{members}"


def _names(path: Path) -> list[str]:
    """What a module defines at its top: not what it imports."""
    found: list[str] = []
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found += [target.id for target in targets if isinstance(target, ast.Name)]
    return found


def _sentence(folder: Path) -> str:
    """What the folder is for: the first line of its docstring."""
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return said.split("\n\n")[0].replace("\n", " ") or "the modules are described one by one."
