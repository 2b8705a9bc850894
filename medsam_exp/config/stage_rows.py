"""Rows of the pipeline as a configuration has them."""

from omegaconf import DictConfig, OmegaConf

from medsam_exp.stages.pipeline import STAGES, Stage


def stage_row(cfg: DictConfig, name: str) -> Stage:
    """The row of a stage, without what decides nothing under this configuration."""
    return STAGES[name].under(lambda key: OmegaConf.select(cfg, key) is not None)
