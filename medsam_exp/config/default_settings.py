"""Which choices and settings of a run are not the defaults."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.flat_settings import differing, flat_settings

_HARDWARE = ("accelerator", "devices", "num_nodes", "strategy", "sync_batchnorm")
_DISPLAY = (
    "default_root_dir",
    "enable_model_summary",
    "enable_progress_bar",
    "log_every_n_steps",
    "profiler",
)
_NO_RESULT = ("sweep.", "workers", *(f"trainer.{name}" for name in (*_HARDWARE, *_DISPLAY)))
_NO_CHOICE = ("sweep", "trainer")  # their settings tell whether they decide a result


def changed_settings(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Compare a run's configuration with what it is when nothing is typed.

    Args:
        cfg: the run's, resolved.
        choices: chosen option of each config group.

    Returns:
        Choices first, then settings by their dotted names: the default and the run's own value, as text. Empty outside
        of a job that Hydra runs, where the default is not known.
    """
    if not GlobalHydra.instance().is_initialized():
        return {}
    loader = GlobalHydra.instance().config_loader()
    usual_choices, default = _default(str(loader.get_search_path()))
    own_content = OmegaConf.to_container(cfg, resolve=True)
    usual, own = differing([flat_settings(each) for each in (default, own_content)])
    settings = {key: (usual[key], own[key]) for key in usual if not key.startswith(_NO_RESULT)}
    chosen = {
        group: (str(usual_choices[group]), choice)
        for group, choice in choices.items()
        if group in usual_choices and group not in _NO_CHOICE and usual_choices[group] != choice
    }
    return {**chosen, **settings}


@cache
def _default(search_path: str) -> tuple[dict[str, str], Any]:  # noqa: ARG001
    """Choices and content of the configuration that nothing is typed for; jobs of a sweep share it."""
    loader = GlobalHydra.instance().config_loader()
    default = loader.load_configuration("config", overrides=[], run_mode=RunMode.RUN)
    choices = dict(default.hydra.runtime.choices)
    OmegaConf.set_struct(default, False)
    for node in ("hydra", "paths"):  # they change no result, and may ask for what only a job has
        default.pop(node, None)
    return choices, OmegaConf.to_container(default, resolve=True)
