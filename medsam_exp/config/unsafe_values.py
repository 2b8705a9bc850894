"""What a configuration may not hold, as it is written to disk and names folders: passwords, ways out of the outputs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.settings import flatten

_PASSWORD = re.compile(r"//[^/\s:@]*:[^/\s@]+@")
"""User and password in an address, as of a proxy."""


def unsafe_values(cfg: DictConfig, typed: Sequence[str] = ()) -> Iterator[str]:
    """Yield a sentence for each value that must reach neither disk nor tracker, or that leads out of the outputs.

    Args:
        cfg: the configuration; references to other values and to the shell's variables are not followed.
        typed: options on the command line, whose values a sweep's configuration does not hold yet.
    """
    content: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    content.pop("hydra", None)  # repeats what was typed
    yield from name_problems(content.get("name"))
    keys = [key for key, value in flatten(content).items() if _PASSWORD.search(str(value))]
    keys += [word.partition("=")[0].lstrip("+") for word in typed if _PASSWORD.search(word)]
    for key in dict.fromkeys(keys):
        yield (
            f"{key} holds a password, and configurations are written into the folders of runs: put the address into a "
            f"variable of the shell and refer to it, as in {key}='${{oc.env:NAME}}'"
        )


def name_problems(name: object) -> Iterator[str]:
    """Yield a sentence for a run's name that is no folder below outputs/runs."""
    if not isinstance(name, str):
        return  # a missing or a wrong one is refused where types are checked
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or windows.anchor or ".." in {*path.parts, *windows.parts}:
        yield f"name={name} leads out of the folder of runs: give a name such as my_study, or my_study/first"
    elif not name.strip() or not name.isprintable():
        yield f"name={name!r} names no folder: give a name of letters, digits, _ and -"
