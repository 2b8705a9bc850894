"""What a run hands to W&B besides figures: files, the report, trained networks, masks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsam_exp.report.logger.base import Table
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.stages.pipeline import STAGES

if TYPE_CHECKING:
    import wandb


def keep_file(run: Any, path: Path) -> None:
    """Put a file among the run's files, where it is there."""
    if path.is_file():
        copy = shutil.copy(path, run.dir)  # a link would change when the run's folder is used again
        run.save(copy, base_path=run.dir, policy="now")


def show_report(run: Any, path: Path) -> None:
    """Show the report as a panel; of many images, what it loads from the folder beside it goes to the run's files.

    A panel loads nothing: it shows the page's figures, and the whole report opens from the run's files.
    """
    import wandb

    if not path.is_file():
        return
    run.log({"report": wandb.Html(path.read_text(), inject=False)})
    if (beside := path.parent / "report").is_dir():
        shutil.copytree(beside, Path(run.dir) / beside.name, dirs_exist_ok=True)
        run.save(str(Path(run.dir) / beside.name / "*"), base_path=run.dir, policy="now")
        keep_file(run, path)


def show_tables(run: Any, tables: Mapping[str, Table]) -> None:
    """Show tables under "sweep/", one panel each."""
    import wandb

    run.log(
        {
            f"sweep/{name}": wandb.Table(columns=list(columns), data=[list(row) for row in rows])
            for name, (columns, rows) in tables.items()
        }
    )


def keep_weights(run: Any, artifacts: Mapping[str, StageArtifacts]) -> None:
    """Store each network that the run's stages trained; its version is the stage's key."""
    import wandb

    for stage, stored in artifacts.items():
        if STAGES[stage].trains:
            about = {"stage": stage, "key": stored.key}
            artifact = wandb.Artifact(f"{stage}-{stored.key}", type="model", metadata=about)
            _keep(run, artifact, stored.folder / stored.info("all")["results"])


def keep_masks(run: Any, folder: Path) -> None:
    """Store the final masks of a run over images."""
    import wandb

    if folder.is_dir():
        _keep(run, wandb.Artifact(f"masks-{run.id}", type="masks"), folder)


def _keep(run: Any, artifact: wandb.Artifact, path: Path) -> None:
    if path.is_dir():
        artifact.add_dir(str(path), skip_cache=True, policy="immutable")  # no copy: our files never change
    else:
        artifact.add_file(str(path), skip_cache=True, policy="immutable")
    run.log_artifact(artifact)


@contextmanager
def quiet_and_here(folder: Path) -> Iterator[None]:
    """While open, W&B says nothing and keeps what it will send below the run's folder instead of in the home."""
    wanted = {
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_DATA_DIR": str(folder.absolute()),
    }
    ours = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
