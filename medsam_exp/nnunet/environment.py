"""nnU-Net's environment, set for one block of code: its folders, its processes, its console noise."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
DATASET_ID = 1
"""Of the one dataset in a folder of ours; the number means nothing beyond that folder."""


@contextmanager
def nnunet_folders(root: Path, raw: Path | None = None, log_file: Path | None = None) -> Iterator[None]:
    """Let nnU-Net find its folders below `root`, and write what it prints to a file.

    The shell's own settings of nnU-Net are put back afterwards.

    Args:
        root: holds nnUNet_raw, nnUNet_preprocessed and nnUNet_results.
        raw: folder of raw datasets that lies elsewhere.
        log_file: receives nnU-Net's console output; None leaves it on the console.
    """
    wanted = {RAW: raw or root / RAW, PREPROCESSED: root / PREPROCESSED, RESULTS: root / RESULTS}
    settings = {name: str(folder.resolve()) for name, folder in wanted.items()}
    settings["nnUNet_n_proc_DA"] = "1"  # planning divides by it
    settings["nnUNet_wandb_enabled"] = "0"
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        if log_file is None:
            yield
            return
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a") as sink, redirect_stdout(sink):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def dataset_folder(parent: Path) -> Path:
    """The one dataset's folder below nnUNet_raw, nnUNet_preprocessed or nnUNet_results."""
    return next(parent.glob(f"Dataset{DATASET_ID:03d}_*"))
