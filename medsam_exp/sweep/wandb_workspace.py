"""A dashboard of a sweep at W&B (`medsam-exp dashboard`).

It shows the runs of the sweep's group: final scores, of each run and by what the sweep varies, the tables of images,
and curves.
"""

from pathlib import Path
from typing import Any

from medsam_exp.report.logger.job import SweepJob
from medsam_exp.report.logger.wandb_auth import has_key
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.foreign import naming_the_file, read_json
from medsam_exp.sweep.status import SWEEP_FILE
from medsam_exp.types import UserError

SCORES = ("sam/dsc/mean", "sam/iou/mean", "sam/nsd/mean", "coarse/dsc/mean", "saliency/peak_within_8px/mean")


def workspace(entity: str, project: str, group: str, axes: list[str]) -> Any:
    """The dashboard, not saved yet.

    Args:
        entity: W&B team or user.
        project: W&B project.
        group: of the sweep's runs.
        axes: what the sweep varies, as in the runs' W&B configuration ("saliency/beta"); may be empty.
    """
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as ws

    columns = [panels.ParallelCoordinatesPlotColumn(metric=panels.Config(axis)) for axis in axes]
    columns += [
        panels.ParallelCoordinatesPlotColumn(metric=panels.SummaryMetric(name)) for name in SCORES[:1]
    ]
    scores = [panels.BarPlot(title=name, metrics=[name]) for name in SCORES]
    by_axis = [
        panels.BarPlot(
            title=f"{SCORES[0]} by {axis}",
            metrics=[SCORES[0]],
            groupby=panels.Config(axis),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for axis in axes
    ]
    causes = [
        panels.ParallelCoordinatesPlot(columns=columns),
        panels.ParameterImportancePlot(with_respect_to=SCORES[0]),
        panels.RunComparer(diff_only="split"),
    ]
    images = [
        panels.WeavePanelSummaryTable(table_name="per_image"),
        panels.MediaBrowser(media_keys=["report"]),
    ]
    curves = [panels.LinePlot(x="trainer/global_step", y=["train/loss", "val/loss"])]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"sweep {group}",
        sections=[
            *([ws.Section(name="DSC by axis", panels=by_axis, is_open=True)] if by_axis else []),
            ws.Section(name="Scores", panels=scores, is_open=True),
            ws.Section(name="What they depend on", panels=causes, is_open=True),
            ws.Section(name="Images, worst first", panels=images, is_open=True),
            ws.Section(name="Curves", panels=curves, is_open=True),
        ],
        settings=ws.WorkspaceSettings(max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("Group") == group],
            pinned_columns=[*(f"config:{axis}" for axis in axes), *(f"summary:{name}" for name in SCORES)],
        ),
    )


def group_and_axes(sweep: str) -> tuple[str, list[str]]:
    """Group and varied keys of a sweep, named by its folder or by its group alone (then no axes are known)."""
    folder = Path(sweep)
    if not (folder / SWEEP_FILE).is_file():
        return folder.name, []
    mend = "run the sweep again"
    content = read_json(folder / SWEEP_FILE, mend)
    with naming_the_file(folder / SWEEP_FILE, "is not what a sweep leaves", mend):
        group = SweepJob(str(content["id"]), {}, name=str(content["name"])).group
        return group, [str(key).lstrip("+").replace(".", "/") for key in content["axes"]]


def save_workspace(sweep: str, project: str, entity: str | None = None) -> str:
    """Save the dashboard of a sweep.

    Args:
        sweep: folder of a sweep, or the W&B group of its runs.
        project: W&B project.
        entity: W&B team or user; None for the key's own.

    Returns:
        Its address.

    Raises:
        UserError: a package or a key is missing.
    """
    require("wandb_workspaces")
    import wandb

    if not has_key():
        raise UserError("a W&B dashboard needs a key: set WANDB_API_KEY or type: wandb login")
    group, axes = group_and_axes(sweep)
    entity = entity or wandb.Api().default_entity
    return str(workspace(entity, project, group, axes).save().url)
