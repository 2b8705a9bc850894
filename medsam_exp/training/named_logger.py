"""A logger for one of several trainings of a run, whose figures must not be mixed."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger


class NamedLogger(Logger):
    """Writes figures to another logger, each name after that of the training: "weak/fold_0/train/loss".

    Args:
        inner: where they go.
        training: its name.
    """

    def __init__(self, inner: Logger, training: str) -> None:
        super().__init__()
        self._inner, self._training = inner, training

    @property
    def name(self) -> str | None:
        """Name of the logger."""
        return self._inner.name

    @property
    def version(self) -> int | str | None:
        """Version of the logger."""
        return self._inner.version

    @property
    def save_dir(self) -> str | None:
        """Folder of the logger."""
        return self._inner.save_dir

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record figures; the number of the epoch keeps its name."""
        named = {self._named(name): value for name, value in metrics.items()}
        self._inner.log_metrics(named, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Record settings."""
        self._inner.log_hyperparams(params, *args, **kwargs)

    def save(self) -> None:
        """Write what is recorded."""
        self._inner.save()

    def finalize(self, status: str) -> None:
        """End the training."""
        self._inner.finalize(status)

    def _named(self, name: str) -> str:
        return name if name == "epoch" else f"{self._training}/{name}"
