"""A results folder names classes and functions; whatever is none of nnU-Net's own is refused before it is called."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from medsam_exp.nnunet.inference import Predictor
from medsam_exp.nnunet.results import results_folder
from medsam_exp.nnunet.trusted_names import check_names, trainer_class
from medsam_exp.types import UserError

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")

NETWORK = {
    "n_stages": 2, "features_per_stage": [4, 8], "conv_op": "torch.nn.modules.conv.Conv2d", "kernel_sizes": [3, 3],
    "strides": [1, 2], "n_conv_per_stage": [1, 1], "n_conv_per_stage_decoder": [1], "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d", "norm_op_kwargs": {"affine": True}, "dropout_op": None,
    "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
}  # fmt: skip
PLAN: dict[str, Any] = {
    "patch_size": [32, 32], "batch_size": 2, "spacing": [1.0, 1.0], "use_mask_for_norm": [False],
    "preprocessor_name": "DefaultPreprocessor", "normalization_schemes": ["ZScoreNormalization"],
    "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": {},
    "resampling_fn_seg": "resample_torch_fornnunet", "resampling_fn_seg_kwargs": {},
    "resampling_fn_probabilities": "no_resampling_hack", "resampling_fn_probabilities_kwargs": {},
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": NETWORK,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    },
}  # fmt: skip
PLANS = {
    "plans_name": "p", "dataset_name": "d", "configurations": {"2d": PLAN}, "label_manager": "LabelManager",
    "experiment_planner_used": "ExperimentPlanner", "image_reader_writer": "NaturalImage2DIO",
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
}  # fmt: skip
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "t": 1}, "file_ending": ".png"}


def changed(keys: str, value: Any) -> dict[str, Any]:
    """The plans with one value, by keys with slashes between them."""
    plans = copy.deepcopy(PLANS)
    *path, last = keys.split("/")
    table: Any = plans
    for key in path:
        table = table[key]
    table[last] = value
    return plans


def check(plans: dict[str, Any], dataset: dict[str, Any] | None = None) -> None:
    check_names(Path("results"), plans, plans["configurations"]["2d"], dataset or DATASET)


def make_folder(folder: Path, plans: dict[str, Any], trainer: str = "nnUNetTrainer") -> Path:
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(DATASET))
    (folder / "hubconf.py").write_text(
        "from pathlib import Path\n\nPath(__file__).with_name('code_ran').touch()\n\n\ndef net(**options): ...\n"
    )
    content = {"network_weights": {}, "init_args": {"configuration": "2d"}, "trainer_name": trainer}
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def predictor(folder: Path) -> Predictor:
    return Predictor(results_folder(folder, "checkpoint_final.pth"))


IN_2D = "configurations/2d"
CLASS = f"{IN_2D}/architecture/network_class_name"


@pytest.mark.parametrize(
    "name", ["torch.hub.load", "dynamic_network_architectures.architectures.unet.torch.hub.load"]
)
def test_code_beside_the_plans_does_not_run(name: str, tmp_path: Path) -> None:
    plans = changed(CLASS, name)
    options = {"repo_or_dir": str(tmp_path / "results"), "model": "net", "source": "local"}
    plans["configurations"]["2d"]["architecture"] |= {"arch_kwargs": options, "_kw_requires_import": []}
    folder = make_folder(tmp_path / "results", plans)
    with pytest.raises(
        UserError, match=r"plans\.json names '[\w.]+' as network_class_name, which is none of"
    ) as caught:
        predictor(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "code_ran").exists()
    torch.hub.load(str(folder), "net", source="local", trust_repo=True)
    assert (folder / "code_ran").exists(), "the test's own file does what it should"


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (CLASS, "os.system"),
        (CLASS, "torch.nn.Linear"),
        (CLASS, "dynamic_network_architectures.architectures.unet.np.save"),
        (CLASS, ["torch.nn.Linear"]),
        (f"{IN_2D}/architecture/arch_kwargs/conv_op", "subprocess.run"),
        (f"{IN_2D}/architecture/arch_kwargs/norm_op", "torch.nn.modules.conv.torch.load"),
        (f"{IN_2D}/architecture/arch_kwargs/nonlin", "torch.nn.functional.relu"),
        (f"{IN_2D}/preprocessor_name", "load_pickle"),
        (f"{IN_2D}/preprocessor_name", "os"),
        (f"{IN_2D}/normalization_schemes", ["np"]),
        (f"{IN_2D}/normalization_schemes", ["DefaultPreprocessor"]),
        (f"{IN_2D}/resampling_fn_data", "load_pickle"),
        (f"{IN_2D}/resampling_fn_seg", "torch"),
        (f"{IN_2D}/resampling_fn_probabilities", "os.system"),
        ("label_manager", "np"),
        ("image_reader_writer", "a.b"),
        ("experiment_planner_used", "../planner"),
    ],
)
def test_what_is_none_of_nnunets_is_refused_by_name(keys: str, value: Any) -> None:
    named = value[0] if isinstance(value, list) and "schemes" in keys else value
    with pytest.raises(UserError) as caught:
        check(changed(keys, value))
    assert str(caught.value).startswith(f"results/plans.json names {named!r} as {keys.rpartition('/')[2]}")


def test_names_elsewhere_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.json names 'a\.b' as overwrite_image_reader_writer"):
        check(PLANS, DATASET | {"overwrite_image_reader_writer": "a.b"})
    with pytest.raises(UserError, match="no whole plan of nnU-Net's"):
        check(changed(f"{IN_2D}/architecture", {}))
    for name in ("os.system", "torch", "nnUNetTrainerOfSomebody", 3):
        with pytest.raises(UserError):
            trainer_class(tmp_path, name)


@pytest.mark.parametrize(
    "change",
    [
        (CLASS, PLAN["architecture"]["network_class_name"]),
        (CLASS, "dynamic_network_architectures.architectures.moved_since.PlainConvUNet"),
        (f"{IN_2D}/architecture/arch_kwargs/norm_op", "torch.nn.BatchNorm2d"),
        (f"{IN_2D}/normalization_schemes", ["NoNormalization"]),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:Network class .* not found:UserWarning"
)  # nnU-Net looks for classes that moved
def test_nnunets_own_names_pass(change: tuple[str, Any], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "results", changed(*change))
    assert type(predictor(folder).network).__name__ == "PlainConvUNet"


def test_plans_of_older_versions_pass(tmp_path: Path) -> None:
    old = {key: value for key, value in PLAN.items() if key != "architecture"} | {
        "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 4, "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": [1, 1], "n_conv_per_stage_decoder": [1], "pool_op_kernel_sizes": [[1, 1], [2, 2]],
        "conv_kernel_sizes": [[3, 3], [3, 3]], "num_pool_per_axis": [1, 1],
    }  # fmt: skip
    folder = make_folder(tmp_path / "results", changed(IN_2D, old))
    with pytest.warns(UserWarning, match="old nnU-Net plans format"):
        assert type(predictor(folder).network).__name__ == "PlainConvUNet"
