"""`hydra/sweeper=medsam_exp`: Hydra's grid of values, with a first check that does not grow with the grid."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class GridSweeper(BasicSweeper):
    """Composes, before the first job, enough jobs to meet every value of every axis; Hydra's own composes them all.

    A misspelt key or choice stands in one value, and composing a job takes a second, which its launcher spends again.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose the jobs that bring a value which none before them had.

        Raises:
            HydraException: there is no such choice or key.
        """
        met: set[str] = set()
        news = []
        for overrides in batch:
            if not met.issuperset(overrides):
                news.append(overrides)
                met.update(overrides)
        super().validate_batch_is_legal(news)
