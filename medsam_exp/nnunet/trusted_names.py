"""Safety check of names in nnU-Net's results folders: only code of nnU-Net may be looked up.

nnU-Net looks up and calls what plans.json, dataset.json and the checkpoint name. A folder from elsewhere could name any
callable of the machine, so every name is checked before nnU-Net gets to see it.
"""

import inspect
import pydoc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from medsam_exp.nnunet.environment import find_in
from medsam_exp.types import UserError

_NETWORKS = "dynamic_network_architectures."
_PARTS = (_NETWORKS, "torch.nn.")
"""Where the parts of a network may come from: convolutions, norms, activations, blocks."""
_NOT_LOOKED_UP = ("experiment_planner_used", "image_reader_writer")
_READER = "overwrite_image_reader_writer"
"""Names that no prediction here looks up, and that nnU-Net itself looks for in its own package only."""


def check_names(
    folder: Path, plans: Mapping[str, Any], configuration: Mapping[str, Any], dataset: Mapping[str, Any]
) -> None:
    """Check every name that nnU-Net would look up for a prediction.

    Args:
        folder: TRAINER__PLANS__CONFIGURATION, to be named in errors.
        plans: content of plans.json.
        configuration: the part of it that is used, with what it inherits.
        dataset: content of dataset.json.

    Raises:
        UserError: a name is not one of nnU-Net's; nothing outside of its packages was imported.
    """
    from nnunetv2.preprocessing.normalization.default_normalization_schemes import ImageNormalization
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    where = str(folder / "plans.json")
    try:
        _check_network(where, configuration["architecture"])
        for key in _NOT_LOOKED_UP:
            _check_plain(where, key, plans.get(key))
        _check_plain(str(folder / "dataset.json"), _READER, dataset.get(_READER))
        manager, preprocessor = plans.get("label_manager", "LabelManager"), configuration["preprocessor_name"]
        _check_own(where, "label_manager", manager, "utilities.label_handling", LabelManager)
        _check_own(where, "preprocessor_name", preprocessor, "preprocessing", DefaultPreprocessor)
        for scheme in configuration["normalization_schemes"]:
            _check_own(
                where, "normalization_schemes", scheme, "preprocessing.normalization", ImageNormalization
            )
        for key in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities"):
            _check_own(where, key, configuration[key], "preprocessing.resampling", None)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where} is no whole plan of nnU-Net's ({error!r}); plan it anew") from error


def trainer_class(folder: Path, name: Any) -> Any:
    """nnU-Net's trainer of that name, in its own package or where nnUNet_extTrainer points.

    Raises:
        UserError: there is none.
    """
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    try:
        _check_plain(f"the checkpoint in {folder}", "trainer_name", name)
        return recursive_find_trainer_class_by_name(name)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(
            f"{folder} was trained by {name}, which the installed nnunetv2 does not have; install the one that has it"
        ) from error


def _check_network(where: str, architecture: Mapping[str, Any]) -> None:
    """The network's class and the parts that it is built of."""
    options = architecture["arch_kwargs"]
    parts = {key: options[key] for key in architecture["_kw_requires_import"] if options[key] is not None}
    named = {"network_class_name": architecture["network_class_name"], **parts}
    for key, name in named.items():  # all by name, before anything is imported
        packages = (_NETWORKS,) if key == "network_class_name" else _PARTS
        if not (isinstance(name, str) and name.startswith(packages)):
            raise _refusal(where, key, name)
    for key, name in named.items():
        found = pydoc.locate(name)
        if found is None and key == "network_class_name":  # it may have moved; nnU-Net looks for it there too
            found = find_in(f"{_NETWORKS}architectures", name.rpartition(".")[2])
        if not (
            inspect.isclass(found) and issubclass(found, nn.Module) and found.__module__.startswith(_PARTS)
        ):
            raise _refusal(where, key, name)


def _check_own(where: str, key: str, name: Any, module: str, base: type | None) -> None:
    """A class of that base, or without one a resampling function, that stands in that module of nnU-Net's."""
    if name is None:
        raise _refusal(where, key, name)
    _check_plain(where, key, name)
    found = find_in(f"nnunetv2.{module}", name)
    right = (
        inspect.isfunction(found) and "resampl" in found.__name__
        if base is None
        else inspect.isclass(found) and issubclass(found, base)
    )
    if not (right and found.__module__.startswith("nnunetv2.")):
        raise _refusal(where, key, name)


def _check_plain(where: str, key: str, name: Any) -> None:
    """A name without dots can be looked for in nnU-Net's own package alone."""
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise _refusal(where, key, name)


def _refusal(where: str, key: str, name: Any) -> UserError:
    return UserError(
        f"{where} names {name!r:.80} as {key}, which is none of nnU-Net's own and could do anything: it was not run; "
        "give a results folder of plain nnU-Net's"
    )
