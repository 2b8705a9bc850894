"""Where the configuration files lie: beside the package in a checkout, within it once it is installed."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = _PACKAGE.parent / "conf"


def in_checkout() -> bool:
    """Whether the package is used from a checkout, where `run.py` and `conf/` lie beside it."""
    return (_IN_CHECKOUT / "config.yaml").is_file()


def conf_folder() -> Path:
    """The folder of `config.yaml` and its groups."""
    return _IN_CHECKOUT if in_checkout() else _PACKAGE / "conf"
