"""What came out of many runs: one table, pivot tables with tests, one report."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.sweep.collect import Collected as Collected
    from medsam_exp.sweep.pivot import Pivot as Pivot
    from medsam_exp.sweep.read import (
        SweepResults as SweepResults,
        read_sweep as read_sweep,
    )
    from medsam_exp.sweep.tidy import (
        images_table as images_table,
        jobs_table as jobs_table,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "collect": ("Collected",),
            "pivot": ("Pivot",),
            "read": (
                "SweepResults",
                "read_sweep",
            ),
            "tidy": (
                "images_table",
                "jobs_table",
            ),
        },
    )
