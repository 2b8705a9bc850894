"""nnU-Net's own planning and preprocessing, with our numbers put in where the configuration gives some."""

import json
from pathlib import Path
from typing import Any

from medsam_exp.nnunet.environment import (
    DATASET_ID,
    PREPROCESSED,
    dataset_folder,
    find_in,
    in_process_pools,
    nnunet_folders,
)
from medsam_exp.nnunet.settings import CONFIGURATION, NnunetSettings
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

_SMALLEST_FEATURE_MAP = 4  # pixels; nnU-Net's own bound at the bottleneck
_FOLDS = 5
_SPLIT_SEED = 12345  # nnU-Net's own, so that its folds are ours


def plan_and_preprocess(root: Path, raw: Path, settings: NnunetSettings, log_file: Path) -> Path:
    """Plan a training and preprocess its images, unless that is done.

    Args:
        root: receives nnUNet_preprocessed.
        raw: nnUNet_raw with the one dataset.
        settings: of the training.
        log_file: receives nnU-Net's console output.

    Returns:
        The file of plans; the preprocessed dataset lies beside it.

    Raises:
        UserError: the planner does not exist.
    """
    finished = root / "preprocessed.json"
    if finished.is_file():
        result: Path = root / json.loads(finished.read_text())["plans"]
        return result
    with nnunet_folders(root, raw, log_file), in_process_pools(settings.processes):
        plans = _plan_and_preprocess(root, settings)
    _write_splits(plans.parent)
    write_atomically(finished, json_text({"plans": str(plans.relative_to(root))}).encode())
    return plans


def _plan_and_preprocess(root: Path, settings: NnunetSettings) -> Path:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
        preprocess_dataset,
    )

    planner = find_in("nnunetv2.experiment_planning", settings.planner)
    if planner is None:
        raise UserError(
            f"nnunet.planner={settings.planner} is no planner of nnU-Net's; use ExperimentPlanner"
        )
    processes = max(1, settings.processes)
    extract_fingerprint_dataset(DATASET_ID, num_processes=processes, show_progress_bar=False)
    _, identifier = plan_experiment_dataset(
        DATASET_ID, planner, gpu_memory_target_in_gb=settings.gpu_memory_gb
    )
    file = dataset_folder(root / PREPROCESSED) / f"{identifier}.json"
    plans = json.loads(file.read_text())
    _adjust(plans, settings)
    write_atomically(file, json_text(plans, indent=1).encode())
    preprocess_dataset(DATASET_ID, file.stem, (CONFIGURATION,), (processes,), show_progress_bar=False)
    return file


def _adjust(plans: dict[str, Any], settings: NnunetSettings) -> None:
    """Put the configured numbers into a plan, in place; the network's depth follows from the patch."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    plan = plans["configurations"][CONFIGURATION]
    network = plan["architecture"]["arch_kwargs"]
    if settings.batch_size is not None:
        plan["batch_size"] = settings.batch_size
    if settings.patch_size is not None:
        _, strides, kernels, patch, _ = get_pool_and_conv_props(
            plan["spacing"], settings.patch_size, _SMALLEST_FEATURE_MAP, 999999
        )
        plan["patch_size"] = [int(side) for side in patch]
        network.update(n_stages=len(strides), strides=strides, kernel_sizes=kernels)
        for blocks, count in _blocks(network, len(strides)).items():
            network[blocks] = count
    features = network["features_per_stage"]
    base, largest = settings.base_features or features[0], settings.max_features or max(features)
    network["features_per_stage"] = [min(base * 2**stage, largest) for stage in range(network["n_stages"])]


def _blocks(network: dict[str, Any], stages: int) -> dict[str, list[int]]:
    """Blocks per stage for another number of stages; the deepest planned stage stands for those beyond."""
    lengths = {
        "n_conv_per_stage": stages,
        "n_blocks_per_stage": stages,
        "n_conv_per_stage_decoder": stages - 1,
    }
    planned = {name: list(network[name]) for name in lengths if name in network}
    return {
        name: (blocks + blocks[-1:] * stages)[: lengths[name]] if blocks else [2] * lengths[name]
        for name, blocks in planned.items()
    }


def _write_splits(folder: Path) -> None:
    """nnU-Net's own five-fold split, written once, before several processes could race for it."""
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    cases = sorted(path.name.removesuffix(".png") for path in (folder / "gt_segmentations").glob("*.png"))
    if len(cases) >= _FOLDS:
        splits = generate_crossval_split(cases, seed=_SPLIT_SEED, n_splits=_FOLDS)
        write_atomically(folder / "splits_final.json", json_text(splits, indent=1).encode())
