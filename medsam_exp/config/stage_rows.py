"""Rows of the pipeline as a configuration has them."""

from dataclasses import replace

from omegaconf import DictConfig, OmegaConf

from medsam_exp.stages.pipeline import STAGES, Stage, reads_true_masks


def stage_row(cfg: DictConfig, name: str) -> Stage:
    """The row of a stage, without what decides nothing under this configuration.

    A search by a score that needs no true masks reads none, and learns nothing that a later run must not score.
    """
    row = STAGES[name].under(lambda key: OmegaConf.select(cfg, key) is not None)
    if row.runs_trials and not reads_true_masks(cfg.search.metric):
        return replace(row, ground_truth=None, learns_from=None)
    return row
