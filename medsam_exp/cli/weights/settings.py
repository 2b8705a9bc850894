"""Where weights lie and what they are fetched from, as `conf/paths` and the shell say."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from medsam_exp.cli.weights.catalogue import PublishedFile
from medsam_exp.runtime.conf_folder import conf_folder, own_folder
from medsam_exp.runtime.wording import first_line
from medsam_exp.types import UserError

_EVERYTHING = "all"
"""In place of an address: a mirror that has every file under its path in the folder of weights."""
_HUB = "https://huggingface.co"
_PLACE = r"(?P<instead>(?:https?://|file://|[/~.]).+)"
_NEEDED = ("data", "weights", "outputs")
_PAIR, _ALONE = re.compile(rf"(?P<start>https?://.+?)={_PLACE}"), re.compile(_PLACE)


@dataclass(frozen=True)
class Settings:
    """What decides where from and where to.

    Attributes:
        folder: of weights; the one cache.
        mirrors: addresses or folders to take files from first, by the beginning of the address that they stand for.
        proxy: for every download; None leaves it to HTTPS_PROXY and NO_PROXY.
    """

    folder: Path
    mirrors: dict[str, str] = field(default_factory=dict)
    proxy: str | None = None


def configured_paths() -> dict[str, Any]:
    """`paths/default.yaml` with its environment variables filled in: one's own where a run would take it, too.

    Raises:
        UserError: it cannot be read, or leaves a folder out.
    """
    folders = [folder for folder in (own_folder(), conf_folder()) if folder is not None]
    places = [folder / "paths" / "default.yaml" for folder in folders]
    path = next(place for place in places if place.is_file() or place == places[-1])
    try:
        content = OmegaConf.to_container(OmegaConf.create({"paths": OmegaConf.load(path)}), resolve=True)
    except Exception as error:  # omegaconf and yaml have many
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error
    assert isinstance(content, dict)
    paths: dict[str, Any] = content["paths"]
    if lacking := [key for key in _NEEDED if not paths.get(key)]:
        raise UserError(
            f"{path} does not say {', '.join(lacking)}; copy those lines from {folders[-1] / 'paths'}"
        )
    return paths


def settings(folder: Path | None = None) -> Settings:
    """The settings in force.

    Args:
        folder: instead of the configured folder of weights.

    Raises:
        UserError: MEDSAM_MIRRORS or the configuration says something that means nothing.
    """
    paths = configured_paths()
    proxy = (
        os.environ.get("MEDSAM_PROXY") or paths.get("proxy") or None
    )  # not in the YAML: runs write that down
    mirrors = {str(start): str(instead) for start, instead in (paths.get("mirrors") or {}).items()}
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if hub and hub != _HUB:
        mirrors.setdefault(_HUB, hub)
    mirrors |= _from_shell(os.environ.get("MEDSAM_MIRRORS", ""))
    return Settings(folder or Path(paths["weights"]).expanduser(), mirrors, proxy)


def _from_shell(text: str) -> dict[str, str]:
    """`FROM=TO` pairs with blanks between them; a TO alone has everything."""
    found = {}
    for pair in text.split():
        match = _PAIR.fullmatch(pair) or _ALONE.fullmatch(pair)
        if match is None:
            raise UserError(
                f"MEDSAM_MIRRORS has {pair!r}; it should be FROM=TO, such as {_HUB}=https://MIRROR"
            )
        found[match.groupdict().get("start", _EVERYTHING)] = match["instead"]
    return found


def sources(file: PublishedFile, mirrors: Mapping[str, str]) -> list[str]:
    """Addresses and local paths of a file, best first: mirrors, then its publishers.

    Args:
        file: of the catalogue.
        mirrors: addresses or folders, by the beginning of the address that they stand for, or `all`.
    """
    found = []
    for start, instead in mirrors.items():
        if start == _EVERYTHING:
            found.append(f"{instead.rstrip('/')}/{file.path}")
        elif file.address.startswith(start.rstrip("/") + "/"):
            found.append(instead.rstrip("/") + file.address.removeprefix(start.rstrip("/")))
    return list(dict.fromkeys([*found, file.address]))


def shown(source: str) -> str:
    """A source for a reader's eyes: a mirror's user name and password stay out of terminals, logs and files."""
    return re.sub(r"(?<=://)[^/@]*@", "", source)
