"""Facts on the choices of every config group, from the files alone: no network and no method is imported."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import medsam_exp
from medsam_exp.cli.help_page import MAIN_GROUPS, OTHER_GROUPS
from medsam_exp.cli.info.costs import cost_of
from medsam_exp.cli.weights.catalogue import Weights, catalogue, published_at
from medsam_exp.cli.weights.local_cache import state
from medsam_exp.cli.weights.settings import settings
from medsam_exp.runtime.conf_folder import conf_folder, head_comment, own_folder
from medsam_exp.runtime.extras import EXTRAS
from medsam_exp.runtime.wording import did_you_mean
from medsam_exp.runtime.yaml_text import parsed_yaml
from medsam_exp.types import UserError

_PACKAGE = Path(str(medsam_exp.__file__)).parent
_OWN_WEIGHTS = re.compile(r"\$\{paths\.weights\}/([\w./-]+)")
_WANTED_PACKAGE = re.compile(
    r"(?<![.\w])(?:require|missing)\(\"(\w+)\"|requires: ClassVar\[str\] = \"(\w+)\""
)
_TAKEN = re.compile(r"override /([\w/]+)(?:@.*)?")
_UNSET = "???"


def groups_info(groups: Sequence[str] = ()) -> dict[str, Any]:
    """What there is to choose, JSON-able.

    Args:
        groups: these alone, such as "clip"; empty for all.

    Returns:
        `groups`: of each `group`, `about`, `default` (None: nothing is taken unless it is typed) and `choices`: of each
        `name`, `about`, `needs` (`weights` with `name`, `state` and `here`; `packages` with `here` and `install`;
        `settings` that must be typed), `licence` (of its weights) and `cost` (`costs.cost_of`). `weights_folder`.

    Raises:
        UserError: there is no such group.
    """
    known = {**MAIN_GROUPS, **OTHER_GROUPS}
    for group in groups:
        if group not in known:
            raise UserError(f"there is no group {group!r}; {did_you_mean(group, known)}")
    folder, usual = settings().folder, _usual_choices()
    return {
        "weights_folder": str(folder.absolute()),
        "groups": [
            {
                "group": group,
                "about": known[group],
                "default": usual.get(group),
                "choices": [_choice(group, path, folder) for path in _files(group)],
            }
            for group in (groups or known)
        ],
    }


def _usual_choices() -> dict[str, str]:
    defaults = parsed_yaml((conf_folder() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    return {group: choice for entry in entries for group, choice in entry.items()}


def _files(group: str) -> list[Path]:
    """A file for each choice, by name; one's own comes before the package's."""
    folders = [folder for folder in (conf_folder(), own_folder()) if folder is not None]
    found = {path.stem: path for folder in folders for path in sorted((folder / group).glob("*.yaml"))}
    return [found[name] for name in sorted(found)]


def _choice(group: str, path: Path, folder: Path) -> dict[str, Any]:
    files = list(_with_parents(path))
    values: dict[str, Any] = {}
    for _, content in reversed(files):
        values |= content
    weights = {each.name: each for each in _weights(group, path.stem, *files[0], folder)}
    return {
        "name": path.stem,
        "about": head_comment(path),
        "needs": {
            "weights": [_weights_need(each, folder) for each in weights.values()],
            "packages": [
                {"name": name, "here": find_spec(name) is not None, "install": EXTRAS[name].installs}
                for name in _packages(group, path.stem, str(values.get("_target_", "")))
            ],
            "settings": [f"{group}.{key}" for key, value in values.items() if value == _UNSET],
        },
        "licence": "; ".join(dict.fromkeys(each.licence for each in weights.values())) or None,
        "cost": cost_of(group, path.stem),
    }


def _with_parents(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A choice's file and what it says, then those of the choices of its group that it builds on."""
    text = path.read_text(encoding="utf-8")
    content = parsed_yaml(text) or {}
    yield text, content
    for entry in content.get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            beside = [path.parent, conf_folder() / path.parent.name]
            parent = next((place for each in beside if (place := each / f"{entry}.yaml").is_file()), None)
            if parent is not None:
                yield from _with_parents(parent)


def _weights(group: str, name: str, text: str, content: Mapping[str, Any], folder: Path) -> Iterator[Weights]:
    """Of the catalogue: what is made for this choice, else what its file names in the folder of weights.

    Then those of the choices of other groups that it takes, as an experiment does.
    """
    own = [weights for weights in catalogue().values() if weights.use == f"{group}={name}"]
    code = "\n".join(line.partition(" #")[0] for line in text.splitlines() if not line.startswith("#"))
    named = [published_at(folder / place, folder) for place in _OWN_WEIGHTS.findall(code)]
    yield from (weights for weights in own or named if weights is not None)
    for entry in content.get("defaults", []):
        for key, choice in entry.items() if isinstance(entry, dict) else ():
            other = _TAKEN.fullmatch(key)
            file = conf_folder() / (other[1] if other else "") / f"{choice}.yaml"
            if other is not None and file.is_file():
                text = file.read_text(encoding="utf-8")
                yield from _weights(other[1], file.stem, text, parsed_yaml(text) or {}, folder)


def _weights_need(weights: Weights, folder: Path) -> dict[str, Any]:
    here = state(weights, folder)
    return {
        "name": weights.name,
        "here": here.usable,
        "state": str(here),
        "download": weights.download_size,
        "by_hand": weights.by_hand,
    }


def _packages(group: str, name: str, target: str) -> list[str]:
    """Packages beyond the core that the module of a choice's `_target_` asks for, by its source."""
    own = [package for package, extra in EXTRAS.items() if extra.use == f"{group}={name}"]
    parts = target.split(".")[1:-1]
    module = _PACKAGE.joinpath(*parts).with_suffix(".py") if parts else None
    source = module.read_text(encoding="utf-8") if module is not None and module.is_file() else ""
    wanted = [first or second for first, second in _WANTED_PACKAGE.findall(source)]
    return [package for package in dict.fromkeys([*own, *wanted]) if package in EXTRAS]
