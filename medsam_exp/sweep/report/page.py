"""Write a sweep's report: one HTML file with everything in it, plots by plotly, under 20 MB."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medsam_exp.metrics.measures import DISCLAIMER
from medsam_exp.report.web.drawings import Drawings
from medsam_exp.report.web.render import LARGEST, as_json, compressed_plotly, render
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.sweep.read import SweepResults
from medsam_exp.sweep.report.facts import (
    by_disagreement,
    dataset_names,
    environments,
    image_name,
    page_data,
)
from medsam_exp.sweep.report.images import draw_images
from medsam_exp.sweep.scores import by_dataset, images_of_samples
from medsam_exp.sweep.sheets import Sheet
from medsam_exp.sweep.write import html_table


def write_sweep_report(path: Path, sweep: SweepResults, sheets: Mapping[str, Sheet]) -> None:
    """Write the report of a sweep.

    Args:
        path: of the file.
        sweep: read back.
        sheets: its tables by name; the overviews of several measures first.
    """
    data = page_data(sweep)
    content = {
        "title": sweep.name,
        "disclaimer": DISCLAIMER,
        "choices": [(axis, ", ".join(values)) for axis, values in sweep.axes.items()],
        "sweep": sweep,
        "data": data,
        "tables": {name: (sheet, Markup(html_table(sheet, caption=False))) for name, sheet in sheets.items()},
        "environment": environments(sweep.finished),
        "data_json": as_json(data),
        "plotly": compressed_plotly() if data["scores"] else "",
    }
    without = _rendered(content, Drawings())
    drawings = _drawings(sweep, data, LARGEST - len(without))
    write_atomically(path, _rendered(content, drawings).encode())


def _rendered(content: Mapping[str, Any], drawings: Drawings) -> str:
    template = Path(__file__).with_name("page.html")
    return render(template, **content, drawings=drawings, drawings_json=as_json(drawings.content))


def _drawings(sweep: SweepResults, data: Mapping[str, Any], budget: int) -> Drawings:
    """Pictures of the images that all runs share; of several datasets those of the first."""
    if not data["images"]:
        return Drawings()
    groups, _ = by_dataset(sweep.finished, "dsc")
    dataset = dataset_names(sweep)[groups[0][0].number]
    own = {image_name(dataset, sample_id): sample_id for sample_id in images_of_samples(groups[0])}
    ids = [own[name] for name in by_disagreement(data) if name in own]
    drawings = draw_images(groups[0], ids, budget).renamed(partial(image_name, dataset))
    if len(groups) > 1:
        drawings.remarks.append(f"images are shown of the first of {len(groups)} datasets")
    return drawings
