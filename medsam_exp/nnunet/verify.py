"""Verify a raw dataset by nnU-Net's integrity check, and name what is wrong.

nnU-Net trains without a word on labels it does not know and on none at all, unless its own check is run; that check
prints file paths and raises "please check text output above". Here it runs in this process, its output goes to a file,
and everything wrong is one sentence.
"""

from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

from medsam_exp.data.decoding import decode
from medsam_exp.nnunet.environment import in_process_pools
from medsam_exp.nnunet.raw_dataset import RawDataset
from medsam_exp.nnunet.weak_label.compose import IGNORE
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError


def verify(dataset: RawDataset, log_file: Path) -> None:
    """Refuse a raw dataset that nnU-Net cannot learn from.

    Args:
        dataset: as `write_raw_dataset` left it.
        log_file: receives what nnU-Net prints.

    Raises:
        UserError: names each faulty case, its file and values, and says how to mend it; or nnU-Net is missing.
    """
    complaint = _ask_nnunet(dataset.folder, log_file)
    if complaint is not None:
        by_case = (problem for name in dataset.case_ids for problem in _problems(dataset, name))
        problems = [*by_case] or [f"nnU-Net refuses it ({complaint}), see {log_file}"]
    elif not any(_shows_a_class(dataset, name) for name in dataset.case_ids):
        problems = [
            f"all {len(dataset.case_ids)} labels are empty, so there is nothing to learn: keep other masks, or look "
            "at why none was found"
        ]
    else:
        return
    raise UserError(f"{dataset.folder} is no dataset to train on: {first_few(problems, separator='; ')}")


def _ask_nnunet(folder: Path, log_file: Path) -> str | None:
    """Why nnU-Net's own check fails, in its words; None when it passes."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with in_process_pools(0), log_file.open("a") as log, redirect_stdout(log), redirect_stderr(log):
        from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

        try:
            verify_dataset_integrity(str(folder), num_processes=1)
        except Exception as error:  # its asserts and its readers raise anything
            return " ".join(str(error).split()) or type(error).__name__
    return None


def _shows_a_class(dataset: RawDataset, name: str) -> bool:
    """Whether a pixel of a label is neither background nor unknown."""
    nothing = (0, dataset.labels.get(IGNORE, 0))
    return not np.isin(decode(dataset.label_file(name)).values, nothing).all()


def _problems(dataset: RawDataset, name: str) -> Iterator[str]:
    """What is wrong with one case; reads its files."""
    sample_id, image_file, label_file = (
        dataset.case_ids[name],
        dataset.image_file(name),
        dataset.label_file(name),
    )
    try:
        image, label = decode(image_file).values, decode(label_file).values
    except UserError as error:
        yield f"{sample_id}: {error}"
        return
    if image.shape[:2] != label.shape[:2]:
        sizes = [f"{width} x {height}" for height, width in (image.shape[:2], label.shape[:2])]
        yield (
            f"{sample_id} has an image of {sizes[0]} and a label of {sizes[1]} pixels ({label_file}): give the label "
            "the image's size"
        )
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels != len(dataset.channels):
        yield (
            f"{sample_id} has {channels} channels where dataset.json promises {len(dataset.channels)} ({image_file}): "
            "write the dataset anew"
        )
    known = len(dataset.labels)
    unknown = [int(value) for value in np.unique(label) if value >= known]
    if unknown:
        yield (
            f"{sample_id} has pixels of the value {first_few(unknown, 5)} ({label_file}), but labels go from 0 to "
            f"{known - 1}: write 0 for background and {'1 for' if known == 2 else '1, 2, ... for'} the target"
        )
