"""Packages that only some uses need, the extra of this package that brings each, and the sentence where one is missing.

Modules import these packages inside the functions that need them, after `require`; so whatever does not need them runs
without them.
"""

from dataclasses import dataclass
from importlib.util import find_spec

from medsam_exp.runtime.conf_folder import in_checkout
from medsam_exp.runtime.errors import UserError


@dataclass(frozen=True)
class Extra:
    """What brings a package.

    Attributes:
        name: the extra in pyproject.toml.
        use: what needs the package, as the subject of a sentence in the singular.
        target: of the Makefile, which installs it in a checkout.
    """

    name: str
    use: str
    target: str = "make setup"

    @property
    def installs(self) -> str:
        """What to type: a target of the Makefile in a checkout, else the extra."""
        return self.target if in_checkout() else f"pip install 'medsam-exp[{self.name}]'"


EXTRAS = {
    "SimpleITK": Extra("volumes", "reading volumes (NRRD, MHA, NIfTI)"),
    "gdcm": Extra("dicom", "decoding compressed DICOM images"),
    "gdown": Extra("drive", "fetching weights from Google Drive"),
    "gradio": Extra("app", "the local web app"),
    "h5py": Extra("prepare", "reading MATLAB 7.3 files"),
    "highdicom": Extra("volumes", "writing DICOM-SEG"),
    "imagehash": Extra("quality", "looking for near-duplicates"),
    "nibabel": Extra("volumes", "reading and writing NIfTI"),
    "nnunetv2": Extra("nnunet", "weak supervision with nnU-Net"),
    "optuna": Extra("search", "the stage tune"),
    "peft": Extra("lora", "adaptation=lora"),
    "pyarrow": Extra("parquet", "writing tables as Parquet"),
    "pydensecrf": Extra("crf", "postprocess=crf", "make setup-crf"),
    "pydicom": Extra("dicom", "reading DICOM"),
    "submitit": Extra("cluster", "hydra/launcher=slurm"),
    "tensorboard": Extra("tensorboard", "logger=tensorboard"),
    "wandb": Extra("wandb", "logger=wandb"),
    "wandb_workspaces": Extra("wandb", "a W&B dashboard"),
}
"""By the name under which a package is imported."""


def require(package: str, extra: Extra | None = None) -> None:
    """Refuse to go on without a package that is not part of the core.

    Args:
        package: as it is imported.
        extra: what brings it here, where that is not its entry in `EXTRAS`.

    Raises:
        UserError: it is not installed; says what needs it and what installs it.
    """
    if find_spec(package) is None:
        raise UserError(missing(package, extra))


def missing(package: str, extra: Extra | None = None) -> str:
    """The sentence for a package that is not installed; `extra` as for `require`."""
    extra = extra or EXTRAS[package]
    return (
        f"{extra.use} needs the package {package}, which is not installed: pip install 'medsam-exp[{extra.name}]' "
        f"(in a checkout: {extra.target})"
    )
