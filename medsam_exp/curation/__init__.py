"""Datasets before any run: preparing downloads, checking data quality, writing masks back to scans."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.curation.quality.data_check import check_dataset as check_dataset
    from medsam_exp.curation.quality.finding import (
        Finding as Finding,
        Kind as Kind,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "quality.data_check": ("check_dataset",),
            "quality.finding": (
                "Finding",
                "Kind",
            ),
        },
    )
