"""What to type to start a run here, and the configuration folders that runs of this process are composed of."""

import shlex
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from medsam_exp.runtime.conf_folder import conf_folder, in_checkout

_FILE = "file://"


def start_command() -> str:
    """The words before the options of a run: `python run.py` in a checkout, `medsam-exp run` where it is installed."""
    words = "python run.py" if in_checkout() else "medsam-exp run"
    return " ".join([words, *(f"--config-dir {shlex.quote(_short(folder))}" for folder in _own_folders())])


def _own_folders() -> list[Path]:
    """Folders with the user's own choices, before those of the package."""
    if not GlobalHydra.instance().is_initialized():
        return []
    sources = GlobalHydra.instance().config_loader().get_search_path().get_path()
    folders = [
        Path(each.path.removeprefix(_FILE)) for each in sources if each.provider in ("main", "command-line")
    ]
    return [folder for folder in folders if folder != conf_folder()]


def conf_folders() -> list[Path]:
    """All folders whose files may be part of a configuration, those that win first."""
    return [*_own_folders(), conf_folder()]


def _short(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)
