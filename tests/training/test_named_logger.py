"""Two trainings of one run in one file of figures."""

import csv
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger

from medsam_exp.training.callbacks import PrefixedLogger


def test_figures_of_two_trainings_do_not_mix(tmp_path: Path) -> None:
    inner = CSVLogger(tmp_path, name="curves", version="")
    for training, loss in (("weak/fold_0", 0.5), ("reference/fold_0", 0.25)):
        logger = PrefixedLogger(inner, training)
        logger.log_hyperparams({})
        logger.log_metrics({"train/loss": loss, "epoch": 1}, step=7)
        logger.finalize("success")
        assert (logger.name, logger.version, logger.save_dir) == (inner.name, inner.version, inner.save_dir)
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["weak/fold_0/train/loss"], second["weak/fold_0/train/loss"]) == ("0.5", "")
    assert (first["reference/fold_0/train/loss"], second["reference/fold_0/train/loss"]) == ("", "0.25")
    assert {first["step"], second["step"]} == {"7"}
    assert {first["epoch"], second["epoch"]} == {"1"}
