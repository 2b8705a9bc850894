"""Compose the project's real configuration as the command line does."""

import copy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from medsam_exp.cli.compose import register

CONF = Path(__file__).resolve().parent.parent / "conf"


def choices(group: str) -> list[str]:
    """Names of the choices of a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    """The configuration for these command-line arguments, unchecked.

    Hydra takes 0.4 s to merge the files of one choice of groups. So each such choice is merged once a process, and
    the values are set on a copy by Hydra's own function, as Hydra itself does after merging;
    tests/test_compose.py holds both ways against each other.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    if any(_concerns_hydra(override) for override in parsed):
        return composed_by_hydra(*overrides)
    values = [override for override in parsed if not _chooses_a_file(override)]
    cfg = copy.deepcopy(_merged(tuple(o.input_line or "" for o in parsed if _chooses_a_file(o))))
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    return cfg


def composed_by_hydra(*overrides: str) -> DictConfig:
    """The same by Hydra from beginning to end."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


@cache
def _merged(choices: tuple[str, ...]) -> DictConfig:
    """The merged files of one choice of groups; never changed."""
    return composed_by_hydra(*choices)


def _concerns_hydra(override: Override) -> bool:
    """Whether it sets Hydra itself, such as its search path, or asks for several values, which Hydra refuses."""
    return override.key_or_group.split(".")[0].split("/")[0] == "hydra" or override.is_sweep_override()


def _chooses_a_file(override: Override) -> bool:
    """Whether it names files of a group, as hydra._internal.defaults_list.Overrides tells groups from values."""
    return (CONF / override.key_or_group).is_dir() and not isinstance(override.value(), dict)
