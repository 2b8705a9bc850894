"""Reads what a class or function says of itself, and turns it into Markdown."""

import importlib
import inspect
import re
from dataclasses import dataclass

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Note|Example)s?:\s*$")
_ENTRY = re.compile(r"^(\w+): (.*)$")
OWN = "medsam_exp."


@dataclass(frozen=True)
class Docstring:
    """A docstring in parts.

    Attributes:
        text: Markdown of what stands before the first section.
        arguments: name -> Markdown of what it is, from `Args` or `Attributes`.
    """

    text: str
    arguments: dict[str, str]


def docstring_of(dotted: str) -> Docstring:
    """The docstring of something of this package, a class with its bases' arguments; others' are not repeated here."""
    if not dotted.startswith(OWN):
        return Docstring("", {})
    module, _, name = dotted.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    own = parsed(inspect.getdoc(found) or "")
    bases = [base for base in getattr(found, "__mro__", ())[:0:-1] if base.__module__.startswith(OWN)]
    inherited = [parsed(inspect.cleandoc(base.__doc__ or "")).arguments for base in bases]
    return Docstring(
        own.text, {key: text for each in (*inherited, own.arguments) for key, text in each.items()}
    )


def parsed(docstring: str) -> Docstring:
    """Take a Google-style docstring apart."""
    before: list[str] = []
    sections: dict[str, list[str]] = {}
    current = before
    for line in docstring.splitlines():
        if found := _SECTION.match(line):
            current = sections.setdefault(found[1], [])
        elif line and not line.startswith(" ") and current is not before:
            before.append(line)
        else:
            current.append(line)
    entries = sections.get("Args") or sections.get("Attributes") or []
    return Docstring(markdown("\n".join(before).strip()), _arguments(entries))


def _arguments(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in (line.removeprefix("    ") for line in lines):
        if entry := _ENTRY.match(line):
            name = entry[1]
            found[name] = entry[2].strip()
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {name: markdown(text) for name, text in found.items()}


def markdown(text: str) -> str:
    """Prose in which only code spans, lists and indented blocks mean something to Markdown."""
    lines = []
    inside = False
    for line in text.splitlines():
        inside = line.startswith("    ") if line.strip() else inside
        lines.append(line if inside else _escaped(line))
    return "\n".join(lines)


def _escaped(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\<\[$*_{|])", r"\\\1", part) for part in parts
    )
