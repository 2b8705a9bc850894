"""A results folder of nnU-Net's: the checkpoints in it, and the network that they are for."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medsam_exp.nnunet.checkpoint import read_checkpoint
from medsam_exp.nnunet.trusted_names import check_names, trainer_class
from medsam_exp.runtime.foreign import naming_the_file, read_table_of_json
from medsam_exp.types import UserError

NEEDED = ("plans.json", "dataset.json")
_MEND = "give the folder as nnU-Net wrote it"


@dataclass(frozen=True)
class ResultsFolder:
    """A trained configuration, as nnU-Net lays it out: plans.json, dataset.json, fold_X/checkpoint_*.pth.

    Attributes:
        folder: TRAINER__PLANS__CONFIGURATION.
        members: checkpoints of the ensemble, in a fixed order.
    """

    folder: Path
    members: tuple[Path, ...]

    @property
    def labels(self) -> dict[str, int]:
        """Value of each class in label maps, background first; without nnU-Net's "ignore", which is never predicted."""
        path = self.folder / "dataset.json"
        content = read_table_of_json(path, _MEND)
        with naming_the_file(path, "names no labels", _MEND):
            return {str(name): value for name, value in content["labels"].items() if name != "ignore"}


def results_folder(folder: Path, pattern: str, folds: Sequence[int | str] | None = None) -> ResultsFolder:
    """Find the checkpoints of a results folder.

    Args:
        folder: TRAINER__PLANS__CONFIGURATION.
        pattern: of checkpoint files within a fold, e.g. "checkpoint_final.pth" or "checkpoint_epoch_*.pth".
        folds: 0, 1, ..., or "all"; None for every fold that is there.

    Raises:
        UserError: something is missing.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder} has no {' and no '.join(missing)}: give the folder TRAINER__PLANS__CONFIGURATION of "
            "nnUNet_results, which holds them beside its fold_X folders"
        )
    wanted = [f"fold_{fold}" for fold in folds] if folds is not None else ["fold_*"]
    members = sorted(path for fold in wanted for path in folder.glob(f"{fold}/{pattern}"))
    if not members:
        raise UserError(f"{folder}: no {pattern} in {', '.join(wanted)}; name checkpoints that are there")
    return ResultsFolder(folder, tuple(members))


def make_predictor(results: ResultsFolder, *, mirroring: bool, step: float) -> Any:
    """nnU-Net's own predictor, on the CPU, with the network of a results folder.

    Args:
        results: whose network.
        mirroring: average over mirrored images, along the axes that the training mirrored.
        step: of the sliding window, as a share of the patch.

    Raises:
        UserError: the folder is of a kind that cannot be predicted with, or names code that is none of nnU-Net's.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    first = read_checkpoint(results.members[0])
    with naming_the_file(results.folder, "is no whole results folder of nnU-Net", _MEND):
        plans = PlansManager(read_table_of_json(results.folder / "plans.json", _MEND))
        dataset_json = read_table_of_json(results.folder / "dataset.json", _MEND)
        configuration = plans.get_configuration(first["init_args"]["configuration"])
        if len(configuration.patch_size) != 2:
            raise UserError(f"{results.folder} was trained on volumes; give a folder of a 2d configuration")
        check_names(results.folder, plans.plans, configuration.configuration, dataset_json)
        labels = plans.get_label_manager(dataset_json)
        if labels.has_regions:
            raise UserError(
                f"{results.folder} was trained on regions that overlap; give a folder with plain labels"
            )
        trainer = trainer_class(results.folder, first["trainer_name"])
        channels = determine_num_input_channels(plans, configuration, dataset_json)
        heads = labels.num_segmentation_heads
        network = trainer.build_network_architecture(
            plans, configuration, channels, heads, enable_deep_supervision=False
        )
        with redirect_stdout(io.StringIO()):  # it says that a CPU is no GPU
            predictor = nnUNetPredictor(
                tile_step_size=step,
                use_mirroring=mirroring,
                perform_everything_on_device=False,
                device=torch.device("cpu"),
                allow_tqdm=False,
            )
        axes = first.get("inference_allowed_mirroring_axes")  # without them nnU-Net does not mirror either
        predictor.manual_initialization(
            network, plans, configuration, None, dataset_json, first["trainer_name"], axes
        )
        return predictor
