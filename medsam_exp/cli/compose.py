"""Configurations composed by Hydra from options of `run.py`, with the schema and the resolvers that `conf/` uses."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.cli.quick_hydra import quicken
from medsam_exp.config.overrides import hydra_value, quoted
from medsam_exp.config.schema import register_schema
from medsam_exp.runtime.conf_folder import conf_folder, own_folder
from medsam_exp.sweep.identity import folder_of_overrides
from medsam_exp.types import UserError


def register() -> None:
    """Register the schema as `schema` and the resolvers `sweep_job_folder` and `fetched`; may be called again."""
    quicken()
    register_schema()
    OmegaConf.register_new_resolver("sweep_job_folder", folder_of_overrides, replace=True)
    OmegaConf.register_new_resolver("fetched", _fetched, replace=True)


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration that these options of `run.py` make, unchecked.

    Raises:
        UserError: there is no such choice or key.
    """
    register()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return compose("config", quoted([*_own_paths(), *overrides]))
    except (HydraException, OmegaConfBaseException) as error:
        said = str(error).partition("Config search path")[0].splitlines()
        lines = [line.strip() for line in said if line.strip()]
        sentence = f"{' '.join(lines[:2])} {', '.join(lines[2:])}".strip()
        raise UserError(sentence or type(error).__name__) from error


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
