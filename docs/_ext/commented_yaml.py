"""Reads a YAML file of a config group with its comments, which say what a setting is and where its number is from."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")
_PACKAGE = "@package"
TARGET = "_target_"


@dataclass(frozen=True)
class Setting:
    """One value of a file.

    Attributes:
        name: dotted, as it is typed below the group.
        value: as YAML writes it on one line.
        comment: what stands above or beside it, "" without.
    """

    name: str
    value: str
    comment: str


@dataclass(frozen=True)
class CommentedYaml:
    """A file with its comments.

    Attributes:
        header: the comment at its top, without Hydra's package line.
        defaults: its defaults list, as loaded.
        targets: what it builds, dotted place ("" for the file itself) -> dotted Python name.
        settings: all other values, in the order of the file.
    """

    header: str
    defaults: tuple[Any, ...]
    targets: dict[str, str]
    settings: tuple[Setting, ...]


def read_commented_yaml(path: Path) -> CommentedYaml:
    """Read a mapping with its comments; the first comment of the file is its header, not the first key's."""
    lines = path.read_text().splitlines()
    start = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = [line.lstrip("# ") for line in lines[:start] if _PACKAGE not in line]
    content = yaml.safe_load(path.read_text()) or {}
    root = yaml.compose(path.read_text())
    found = [] if root is None else _settings(root, "", lines, start)
    defaults = content.get("defaults", ())
    return CommentedYaml(
        " ".join(header),
        tuple(defaults),
        {
            setting.name.removesuffix(TARGET).rstrip("."): setting.value
            for setting in found
            if setting.name.split(".")[-1] == TARGET
        },
        tuple(
            setting
            for setting in found
            if setting.name.split(".")[-1] != TARGET and not re.match(r"defaults(\.|$)", setting.name)
        ),
    )


def _settings(node: yaml.Node, prefix: str, lines: list[str], start: int) -> list[Setting]:
    """Values below a mapping, deep ones by dotted names; empty mappings and lists are values."""
    assert isinstance(node, yaml.MappingNode)
    found = []
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        comment = _comment_of(key.start_mark.line, value, lines, start)
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            inner = _settings(value, f"{name}.", lines, start)
            if comment and inner:
                first = inner[0]
                inner[0] = Setting(first.name, first.value, "; ".join(filter(None, (comment, first.comment))))
            found += inner
        else:
            found.append(Setting(name, _flow(value), comment))
    return found


def _comment_of(line: int, value: yaml.Node, lines: list[str], start: int) -> str:
    """The comment lines directly above a key, then the comments on its own lines."""
    above: list[str] = []
    for number in range(line - 1, start - 1, -1):
        if not lines[number].lstrip().startswith("#"):
            break
        above.insert(0, lines[number].strip().lstrip("# "))
    block = isinstance(value, yaml.MappingNode) and not value.flow_style
    last = line if block else max(line, value.end_mark.line - (value.end_mark.column == 0))
    beside = [_beside(text) for text in lines[line : last + 1]]
    return "; ".join(filter(None, (" ".join(above), " ".join(filter(None, beside)))))


def _beside(line: str) -> str:
    """The comment at the end of a line; a `#` within quotes is none."""
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: "q" * len(quoted[0]), line)
    found = _COMMENT.search(bare)
    return line[found.start(1) :].strip() if found else ""


def _flow(node: yaml.Node) -> str:
    """A value on one line, scalars as they are written in the file."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style is None else f'"{node.value}"'
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(map(_flow, node.value))}]"
    assert isinstance(node, yaml.MappingNode)
    return f"{{{', '.join(f'{_flow(key)}: {_flow(value)}' for key, value in node.value)}}}"
