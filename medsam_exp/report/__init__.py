"""What people see of a run: the console's table, pictures and a self-contained HTML report."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.report.compare import (
        compare_runs as compare_runs,
        print_comparison as print_comparison,
    )
    from medsam_exp.report.finished_run import (
        FinishedRun as FinishedRun,
        read_run as read_run,
    )
    from medsam_exp.report.section import (
        Details as Details,
        Part as Part,
        Row as Row,
        Section as Section,
        Table as Table,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "compare": (
                "compare_runs",
                "print_comparison",
            ),
            "finished_run": (
                "FinishedRun",
                "read_run",
            ),
            "section": (
                "Details",
                "Part",
                "Row",
                "Section",
                "Table",
            ),
        },
    )
