"""Where the configuration files lie: beside the package in a checkout, within it once it is installed."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def conf_folder() -> Path:
    """The folder of `config.yaml` and its groups."""
    checkout = _PACKAGE.parent / "conf"
    return checkout if (checkout / "config.yaml").is_file() else _PACKAGE / "conf"
