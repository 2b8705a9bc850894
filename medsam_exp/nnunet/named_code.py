"""Safety check of names in nnU-Net's results folders: only code of nnU-Net may be looked up.

nnU-Net looks up and calls what plans.json, dataset.json and the checkpoint name. A folder from elsewhere could name any
callable of the machine, so every name is checked before nnU-Net gets to see it.
"""

import inspect
import pydoc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from medsam_exp.types import UserError

_NETWORKS = "dynamic_network_architectures."
_PARTS = (_NETWORKS, "torch.nn.")
"""Where the parts of a network may come from: convolutions, norms, activations, blocks."""
_NOT_LOOKED_UP = ("experiment_planner_used", "image_reader_writer")
_READER = "overwrite_image_reader_writer"
"""Names that no prediction here looks up, and that nnU-Net itself looks for in its own package only."""


def check_named_code(
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
    where = str(folder / "plans.json")
    try:
        _check_network(where, configuration["architecture"])
        for key in _NOT_LOOKED_UP:
            _check_plain(where, key, plans.get(key))
        _check_plain(str(folder / "dataset.json"), _READER, dataset.get(_READER))
        _check_own(where, "label_manager", plans.get("label_manager", "LabelManager"))
        _check_own(where, "preprocessor_name", configuration["preprocessor_name"])
        for scheme in configuration["normalization_schemes"]:
            _check_own(where, "normalization_schemes", scheme)
        for key in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities"):
            _check_own(where, key, configuration[key])
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
        if found is None and key == "network_class_name":
            found = _moved(name)
        if not (
            inspect.isclass(found) and issubclass(found, nn.Module) and found.__module__.startswith(_PARTS)
        ):
            raise _refusal(where, key, name)


def _moved(name: str) -> Any:
    """The class of that name elsewhere among nnU-Net's architectures, where nnU-Net itself looks for it."""
    import dynamic_network_architectures
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    folder = Path(dynamic_network_architectures.__path__[0]) / "architectures"
    return recursive_find_python_class(str(folder), name.rpartition(".")[2], f"{_NETWORKS}architectures")


def _check_own(where: str, key: str, name: Any) -> None:
    """A class or function that stands in nnU-Net's own package, and is of the kind that the key asks for."""
    import nnunetv2
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    if name is None:
        raise _refusal(where, key, name)
    _check_plain(where, key, name)
    module, right = _kinds().get(key, ("preprocessing.resampling", _resamples))
    folder = Path(nnunetv2.__path__[0]).joinpath(*module.split("."))
    found = recursive_find_python_class(str(folder), name, f"nnunetv2.{module}")
    if not (right(found) and str(getattr(found, "__module__", "")).startswith("nnunetv2.")):
        raise _refusal(where, key, name)


def _kinds() -> dict[str, tuple[str, Callable[[Any], bool]]]:
    """For each key, where nnU-Net looks, and whether what it finds is what the key stands for."""
    from nnunetv2.preprocessing.normalization.default_normalization_schemes import ImageNormalization
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    def kind_of(base: type) -> Callable[[Any], bool]:
        return lambda found: inspect.isclass(found) and issubclass(found, base)

    return {
        "label_manager": ("utilities.label_handling", kind_of(LabelManager)),
        "preprocessor_name": ("preprocessing", kind_of(DefaultPreprocessor)),
        "normalization_schemes": ("preprocessing.normalization", kind_of(ImageNormalization)),
    }


def _resamples(found: Any) -> bool:
    return inspect.isfunction(found) and "resampl" in found.__name__


def _check_plain(where: str, key: str, name: Any) -> None:
    """A name without dots can be looked for in nnU-Net's own package alone."""
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise _refusal(where, key, name)


def _refusal(where: str, key: str, name: Any) -> UserError:
    return UserError(
        f"{where} names {name!r:.80} as {key}, which is none of nnU-Net's own and could do anything: it was not run; "
        "give a results folder of plain nnU-Net's"
    )
