"""Which configurations have passed all checks, so that a run that is asked for again need not import all networks.

A check looks at values, at the code and the packages that these name, and at files. All of them decide the name of a
record in the folder of artifacts; what cannot be seen from here (a repository of the hub, somebody's own code) is
checked each time.
"""

import os
import stat
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import medsam_exp
from medsam_exp.config.schema import check, resolve
from medsam_exp.config.settings import flatten
from medsam_exp.runtime.digests import text_digest
from medsam_exp.runtime.json_text import json_text
from medsam_exp.stages.pipeline import STAGES

FOLDER = "passed_checks"
"""In the folder of artifacts."""
_MOST_RECORDS = 1000
"""Of checks that passed last, each an empty file."""
_PACKAGE, _OWN = Path(medsam_exp.__file__).parent, medsam_exp.__name__
_HUB = "hf-hub:"
_LOCAL = "local-dir:"
_DISTRIBUTIONS = (".dist-info", ".egg-info")
"""What installed packages leave, with their versions in the name."""


def check_once(cfg: DictConfig) -> DictConfig:
    """Do as `check` does, but trust an earlier check of the same configuration, code, packages and files.

    Raises:
        UserError: as `check`.
    """
    if OmegaConf.is_readonly(cfg):  # it has passed, and nobody has changed it since
        return cfg
    resolve(cfg)
    record = _record(cfg)
    if record is None or not record.is_file():
        check(cfg)
        if record is not None:
            with suppress(OSError):  # stored results may lie where nothing can be written
                record.parent.mkdir(parents=True, exist_ok=True)
                record.touch()
                _forget_oldest(record.parent)
    OmegaConf.set_readonly(cfg, True)
    return cfg


def _forget_oldest(folder: Path) -> None:
    """Leave no more records than are kept; a check whose record is gone is made again."""
    records = [(each.stat().st_mtime_ns, each) for each in folder.iterdir()]
    for _, oldest in sorted(records)[:-_MOST_RECORDS]:
        oldest.unlink(missing_ok=True)


def _record(cfg: DictConfig) -> Path | None:
    """The file that is there after a passed check; None where a check sees more than its name can tell."""
    content: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    words = list(_texts(content))
    targets = [value for key, value in flatten(content).items() if key.rpartition(".")[2] == "_target_"]
    modules = {stage.module for name in content["stages"] if (stage := STAGES.get(name)) and stage.module}
    if any(word.startswith(_HUB) for word in words) or not all(map(_is_installed, [*targets, *modules])):
        return None
    places = dict.fromkeys(_texts({key: value for key, value in content.items() if key != "paths"}))
    places.pop(cfg.paths.artifacts, None)  # changes with every result
    seen = text_digest(json_text(content, sort_keys=True), *_code(), *map(_state, filter(None, places)))
    return Path(cfg.paths.artifacts) / FOLDER / seen[:32]


def _texts(value: Any) -> Iterator[str]:
    """All texts within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _is_installed(name: object) -> bool:
    """Whether a name is that of something in this package or an installed one, whose version tells its code."""
    if not isinstance(name, str):
        return False
    top = name.partition(".")[0]
    if top == _OWN:
        return True
    try:
        spec = find_spec(top)  # does not import it
    except (ImportError, ValueError):  # the latter of "" and "__main__"
        return False
    places = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")]
    return spec is not None and spec.origin is not None and any(map(Path(spec.origin).is_relative_to, places))


def _code() -> Iterator[str]:
    """What changes with the code of this package and the versions of all installed ones."""
    yield sys.version
    for place in map(Path, dict.fromkeys(sys.path)):
        yield from (each.name for each in _entries(place) if each.suffix in _DISTRIBUTIONS)
    for folder, _, names in os.walk(_PACKAGE):
        if Path(folder).name != "__pycache__":
            yield from (_status(Path(folder) / name) for name in sorted(names))


def _state(text: str) -> str:
    """What changes with the file, or the files in the folder, that a text names; most texts name none."""
    try:
        path = Path(text.removeprefix(_LOCAL)).expanduser()
        return "\n".join(map(_status, [path, *_entries(path)]))
    except (ValueError, RuntimeError):  # the latter where nobody has that home
        return "absent"


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing where there is no folder or it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _status(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:  # such as a link to nothing
        return f"{path} absent"
    when = found.st_mtime_ns if stat.S_ISREG(found.st_mode) else ""
    return f"{path} {found.st_mode} {found.st_size} {found.st_ino} {when}"
