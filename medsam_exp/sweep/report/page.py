"""Write a sweep's report: one HTML file with everything in it, plots by plotly, under 20 MB."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from medsam_exp.digests import write_atomically
from medsam_exp.report.measures import DISCLAIMER, stage_label
from medsam_exp.report.panels import STAGE_COLOURS
from medsam_exp.stages.evaluate import MASK_STAGES
from medsam_exp.sweep.read import SweepResults
from medsam_exp.sweep.report.facts import by_disagreement, environments, page_data
from medsam_exp.sweep.report.images import Pictures, draw_images
from medsam_exp.sweep.scores import by_dataset
from medsam_exp.sweep.sheets import Sheet
from medsam_exp.sweep.write import html_table

LARGEST = 19_000_000
"""Bytes of the whole file."""


def write_sweep_report(path: Path, sweep: SweepResults, sheets: Mapping[str, Sheet]) -> None:
    """Write the report of a sweep.

    Args:
        path: of the file.
        sweep: read back.
        sheets: its tables by name; the overviews of several measures first.
    """
    data = page_data(sweep)
    plotly = get_plotlyjs()
    used = len(plotly) + len(_json(data)) + sum(len(html_table(sheet)) for sheet in sheets.values())
    pictures = _pictures(sweep, data, LARGEST - used - 200_000)
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("page.html").render(
        title=sweep.name,
        disclaimer=DISCLAIMER,
        sweep=sweep,
        data=data,
        tables={name: (sheet, Markup(html_table(sheet, caption=False))) for name, sheet in sheets.items()},
        environment=environments(sweep.finished),
        pictures=pictures,
        colours={stage: STAGE_COLOURS.get(short, "#999999") for stage, short in MASK_STAGES.items()},
        stage_names={stage: stage_label(short) for stage, short in MASK_STAGES.items()},
        mask_stages=[stage for stage in MASK_STAGES if stage in pictures.layers],
        data_json=Markup(_json(data)),
        pictures_json=Markup(
            _json({"images": pictures.images, "layers": pictures.layers, "prompts": pictures.prompts})
        ),
        plotly=Markup(plotly),
    )
    write_atomically(path, page.encode())


def _pictures(sweep: SweepResults, data: Mapping[str, Any], budget: int) -> Pictures:
    """Pictures of the images that all runs share; of several datasets those of the first."""
    if not data["images"]:
        return Pictures()
    groups, _ = by_dataset(sweep.finished, "dsc")
    pictures = draw_images(groups[0], by_disagreement(data), budget)
    if len(groups) > 1:
        pictures.remarks.append(f"images are shown of the first of {len(groups)} datasets")
    return pictures


def _json(content: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
