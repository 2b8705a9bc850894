"""Whether this machine can talk to W&B: found out without a question to the user, and without W&B being installed."""

import configparser
import netrc
import os
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

_CLOUD = "https://api.wandb.ai"


def has_key() -> bool:
    """Whether a key for W&B lies in the environment or where `wandb login` leaves it."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return netrc.netrc(path).authenticators(urlsplit(base_url()).netloc) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def base_url() -> str:
    """Address of the W&B server: the cloud, unless the environment or `wandb login --host` names another."""
    if given := os.environ.get("WANDB_BASE_URL"):
        return given
    settings = configparser.ConfigParser(interpolation=None)
    folder = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    try:
        settings.read(folder / "settings")
    except configparser.Error:
        return _CLOUD
    return settings.get("default", "base_url", fallback=_CLOUD)


def reachable(patience_s: float = 10.0) -> bool:
    """Whether the W&B server answers at all; W&B's own commands try again for many minutes."""
    try:
        with urllib.request.urlopen(f"{base_url()}/healthz", timeout=patience_s):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False
