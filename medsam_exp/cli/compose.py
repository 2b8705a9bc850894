"""Configurations composed by Hydra from options of `run.py`, with the schema and the resolvers that `conf/` uses."""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import hydra
import omegaconf
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from medsam_exp.cli.refusals import FAILURES, refusal
from medsam_exp.config.overrides import hydra_value, quoted
from medsam_exp.config.schema import register_schema
from medsam_exp.report.logger.job import title_of_choices
from medsam_exp.runtime.conf_folder import conf_folder, own_folder
from medsam_exp.sweep.identity import folder_of_overrides
from medsam_exp.types import UserError

_AUTO = re.compile(r"\+{0,2}sam=(.*,)?\s*auto\s*(,.*)?")
_QUICK_VERSIONS = ("1.3.", "2.3.")
"""Of Hydra and OmegaConf; others compose the same by their plain ways."""


def register() -> None:
    """Register the schema as `schema` and the resolvers of `conf/`; may be called again."""
    _quicken()
    register_schema()
    register_resolvers()


def register_resolvers() -> None:
    """Register the resolvers alone, which every file of `conf/` may use; may be called again."""
    OmegaConf.register_new_resolver("sweep_job_folder", folder_of_overrides, replace=True)
    OmegaConf.register_new_resolver("title_of_choices", title_of_choices, replace=True)
    OmegaConf.register_new_resolver("fetched", _fetched, replace=True)


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration that these options of `run.py` make, unchecked; `sam=auto` becomes a name.

    Raises:
        UserError: there is no such choice or key, or `sam=auto` finds nothing.
    """
    return _composed(with_names(overrides))


def with_names(overrides: Sequence[str], own: Path | None = None) -> list[str]:
    """The same options of `run.py`, where `sam=auto` becomes the name of a segmenter that is here and fits.

    Args:
        overrides: as typed.
        own: folder of further choices.

    Raises:
        UserError: there is none.
    """
    if not any(map(_AUTO.fullmatch, overrides)):
        return list(overrides)
    from medsam_exp.cli.auto_sam import named  # here, as the catalogue takes a tenth of a second

    return named(overrides, partial(_composed, own=own))


def _composed(overrides: Sequence[str], own: Path | None = None) -> DictConfig:
    register()
    further = [] if own is None else [f"hydra.searchpath=[{hydra_value(f'file://{own}')}]"]
    typed = [*further, *quoted([*_own_paths(), *overrides])]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            return compose("config", typed)
        except FAILURES as error:
            loader = GlobalHydra.instance().config_loader()
            assert isinstance(loader, ConfigLoaderImpl)
            raise UserError(refusal(error, typed, loader)) from error


def _quicken() -> None:
    """Let Hydra and OmegaConf compose faster, if they are of the versions whose inner names that rests on."""
    if (hydra.__version__[:4], omegaconf.__version__[:4]) == _QUICK_VERSIONS:
        with suppress(ImportError):
            from medsam_exp.cli.quick_hydra import quicken

            quicken()


def _fetched(*choices: str) -> str:
    from medsam_exp.cli.weights.local_cache import fetched  # here, as the catalogue takes a tenth of a second

    return fetched(*choices)


def _own_paths() -> list[str]:
    """Where the user's own `conf/paths` beside them says that things lie, as options."""
    own = own_folder()
    if own is None or not (own / "paths" / "default.yaml").is_file():
        return []
    from medsam_exp.cli.weights.settings import configured_paths

    paths = configured_paths()
    return [f"paths.{key}={hydra_value(str(paths[key]))}" for key in ("data", "weights", "outputs")]
