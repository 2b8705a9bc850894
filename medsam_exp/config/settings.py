"""Settings of runs, flat: in which of them runs differ, and which are not the defaults."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

NO_RESULT_OF_DATA = ("remembered_in",)
"""Settings of a dataset that change no result."""
_NOT_COMPARED = (
    "paths.",
    "limits.",
    "hydra.",
    "logger.",
    "name",
    *(f"data.{name}" for name in NO_RESULT_OF_DATA),
)
"""Settings that begin so change no result."""
_ABSENT = "–"
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


def flat_settings(configuration: Any) -> dict[str, str]:
    """All settings as text by their dotted names, without those that change no result."""
    return {
        key: str(value) for key, value in flatten(configuration).items() if not key.startswith(_NOT_COMPARED)
    }


def differing(settings: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Of each run's settings those that are not the same in all; `_ABSENT` where a run has no such setting."""
    keys = dict.fromkeys(key for own in settings for key in own)
    varied = [key for key in keys if len({own.get(key) for own in settings}) > 1]
    return [{key: own.get(key, _ABSENT) for key in varied} for own in settings]


def flatten(tree: Any, separator: str = ".", above: str = "") -> dict[str, Any]:
    """Values of a nested mapping under one name each; an empty mapping is a value.

    Args:
        tree: mappings in mappings.
        separator: between the keys of a name.
        above: name of the tree itself.
    """
    if not isinstance(tree, Mapping) or not tree:
        return {above: tree}
    parts = (
        flatten(value, separator, f"{above}{separator}{key}" if above else str(key))
        for key, value in tree.items()
    )
    return {name: value for part in parts for name, value in part.items()}


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
    default.pop("hydra", None)  # asks for what only a job has
    content = OmegaConf.to_container(default, resolve=True)
    assert isinstance(content, dict)
    return choices, {
        name: value for name, value in content.items() if name != "paths"
    }  # they change no result
