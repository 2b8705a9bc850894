"""Compose the project's real configuration as the command line does."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from medsam_exp.cli.registration import register

CONF = Path(__file__).resolve().parent.parent / "conf"


def composed(*overrides: str) -> DictConfig:
    """The configuration for these command-line arguments, unchecked."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))
