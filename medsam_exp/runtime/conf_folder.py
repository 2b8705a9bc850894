"""Where configuration files lie: beside the package in a checkout, within it once installed; and one's own."""

import itertools
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_IN_CHECKOUT = _PACKAGE.parent / "conf"
_OWN = Path("conf")


def in_checkout() -> bool:
    """Whether the package is used from a checkout, where `run.py` and `conf/` lie beside it."""
    return (_IN_CHECKOUT / "config.yaml").is_file()


def conf_folder() -> Path:
    """The folder of `config.yaml` and its groups."""
    return _IN_CHECKOUT if in_checkout() else _PACKAGE / "conf"


def own_folder() -> Path | None:
    """The folder `conf/` where a command is started, if it holds choices to add; that of a whole project does not."""
    there = _OWN.is_dir() and not (_OWN / "config.yaml").exists() and any(_OWN.glob("*/*.yaml"))
    return _OWN.resolve() if there else None


def head_comment(path: Path) -> str:
    """The lines of comment at the head of a configuration file, as one."""
    head = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    said = (line.removeprefix("#").strip() for line in head)
    return " ".join(line for line in said if not line.startswith("@package"))
