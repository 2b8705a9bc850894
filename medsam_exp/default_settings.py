"""Which settings of a run are not the defaults."""

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from medsam_exp.report.settings import differing, flat_settings

Changed = dict[str, tuple[str, str]]
"""Setting -> (its default, its value in this run), as text."""


def changed_settings(cfg: DictConfig) -> Changed:
    """Compare a run's configuration with what it is when nothing is typed; empty outside of Hydra's own run.

    Args:
        cfg: the run's, resolved.
    """
    if not GlobalHydra.instance().is_initialized():
        return {}
    loader = GlobalHydra.instance().config_loader()
    default = loader.load_configuration("config", overrides=[], run_mode=RunMode.RUN)
    OmegaConf.set_struct(default, False)
    for node in ("hydra", "paths", "sweep"):  # these change no result, and may name what only a run has
        default.pop(node, None)
    usual, own = differing([flat_settings(OmegaConf.to_container(c, resolve=True)) for c in (default, cfg)])
    return {key: (usual[key], own[key]) for key in usual if not key.startswith(_NO_RESULT)}


_NO_RESULT = ("sweep.", "workers", "trainer.")
