"""Verify a raw dataset by nnU-Net's integrity check, and name what is wrong.

nnU-Net trains without a word on labels it does not know and on none at all, unless its own check is run; that check
prints file paths and raises "please check text output above". Here it runs in this process, its output goes to a file,
and everything wrong is one sentence.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medsam_exp.data.decoding import decode
from medsam_exp.nnunet.environment import in_process_pools
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

_REQUIRED = ("channel_names", "labels", "numTraining", "file_ending")


def verify(folder: Path, log_file: Path) -> None:
    """Refuse a raw dataset that nnU-Net cannot learn from.

    Args:
        folder: nnUNet_raw/DatasetNNN_NAME, as `write_raw_dataset` makes it.
        log_file: receives what nnU-Net prints.

    Raises:
        UserError: names each faulty case, its file and values, and says how to mend it; or nnU-Net is missing.
    """
    dataset = _read(folder)
    problems = [*dataset.problems()]
    if not problems:
        complaint = _ask_nnunet(folder, log_file)
        if complaint is not None:
            problems = [*dataset.case_problems()] or [f"nnU-Net refuses it ({complaint}), see {log_file}"]
        elif dataset.is_empty():
            problems = [
                f"all {len(dataset.names)} labels are empty, so there is nothing to learn: keep other masks, or look "
                "at why none was found"
            ]
    if problems:
        raise UserError(f"{folder} is no dataset to train on: {first_few(problems, separator='; ')}")


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


def _read(folder: Path) -> "_Dataset":
    file = folder / "dataset.json"
    try:
        facts = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): write the dataset anew") from error
    missing = [key for key in _REQUIRED if key not in facts]
    if missing:
        raise UserError(f"{file} has no {', '.join(missing)}: write the dataset anew")
    ids = folder / "cases.json"
    return _Dataset(folder, facts, json.loads(ids.read_text()) if ids.is_file() else {})


@dataclass(frozen=True)
class _Dataset:
    """A folder, its dataset.json, and the sample ids behind its case names where they are known."""

    folder: Path
    facts: Mapping[str, Any]
    case_ids: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """Names of the cases that have an image."""
        files = (self.folder / "imagesTr").glob(f"*_0000{self.facts['file_ending']}")
        return sorted(file.name.removesuffix(f"_0000{self.facts['file_ending']}") for file in files)

    def image_file(self, name: str) -> Path:
        return self.folder / "imagesTr" / f"{name}_0000{self.facts['file_ending']}"

    def label_file(self, name: str) -> Path:
        return self.folder / "labelsTr" / f"{name}{self.facts['file_ending']}"

    def problems(self) -> Iterator[str]:
        """What is wrong with the whole."""
        labels = self.facts["labels"]
        if sorted(labels.values()) != list(range(len(labels))) or labels.get("background") != 0:
            given = ", ".join(f"{name} {value}" for name, value in labels.items())
            yield f"its labels are {given}: number them 0 (background), 1, 2, ... without gaps"
        names = self.names
        if len(names) != self.facts["numTraining"]:
            yield (
                f"dataset.json promises {self.facts['numTraining']} images and imagesTr has {len(names)}: "
                "write the dataset anew"
            )
        for name in names:
            if not self.label_file(name).is_file():
                yield f"{self._called(name)} has an image and no label ({self.label_file(name)}): add it"

    def case_problems(self) -> Iterator[str]:
        """What is wrong with single cases; reads every file."""
        for name in self.names:
            try:
                yield from self._problems_of(name)
            except UserError as error:
                yield f"{self._called(name)}: {error}"

    def is_empty(self) -> bool:
        """Whether no label has a pixel of foreground."""
        return not any(decode(self.label_file(name)).values.any() for name in self.names)

    def _problems_of(self, name: str) -> Iterator[str]:
        image, label = decode(self.image_file(name)).values, decode(self.label_file(name)).values
        if image.shape[:2] != label.shape[:2]:
            sizes = [f"{width} x {height}" for height, width in (image.shape[:2], label.shape[:2])]
            yield (
                f"{self._called(name)} has an image of {sizes[0]} and a label of {sizes[1]} pixels "
                f"({self.label_file(name)}): give the label the image's size"
            )
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != len(self.facts["channel_names"]):
            yield (
                f"{self._called(name)} has {channels} channels where dataset.json promises "
                f"{len(self.facts['channel_names'])} ({self.image_file(name)}): write the dataset anew"
            )
        known = len(self.facts["labels"])
        unknown = [int(value) for value in np.unique(label) if value >= known]
        if unknown:
            yield (
                f"{self._called(name)} has pixels of the value {first_few(unknown, 5)} ({self.label_file(name)}), but "
                f"labels go from 0 to {known - 1}: write 0 for background and "
                f"{'1 for' if known == 2 else '1, 2, ... for'} the target"
            )

    def _called(self, name: str) -> str:
        return self.case_ids.get(name, name)
