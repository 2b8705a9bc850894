"""nnU-Net's checkpoints, ours or anybody's, read without running anything that a file may contain."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from medsam_exp.runtime.checkpoint.declared import refuse_oversized
from medsam_exp.runtime.checkpoint.read import read_pickle, unreadable
from medsam_exp.types import UserError

_SCALAR = type(np.float64(0)).__reduce__(np.float64(0))[0]  # what nnU-Net's lists of figures are stored with
_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name before numpy 2, in most checkpoints that there are
    *{type(np.dtype(kind)) for kind in ("float16", "float32", "float64", "int32", "int64", "bool")},
]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU and read from disk when they are used.

    Raises:
        UserError: the file is unreadable, is no checkpoint of nnU-Net's, or holds more than numbers and names.
    """
    try:
        content = read_pickle(path, _NUMPY_SCALARS, mmap=True)
    except UserError:
        raise
    except Exception as error:  # damaged files fail in as many ways as there are instructions in a pickle
        raise unreadable(
            path, str(path), error, "give a checkpoint that nnU-Net's own trainer wrote"
        ) from error
    if not isinstance(content, dict) or "network_weights" not in content:
        older = " (one of nnU-Net 1?)" if isinstance(content, dict) and "state_dict" in content else ""
        raise UserError(
            f"{path} is no checkpoint of nnU-Net: it has no network_weights{older}; give one that nnU-Net 2 wrote"
        )
    weights, made_with = content["network_weights"], content.get("init_args")
    of_tensors = isinstance(weights, dict) and all(isinstance(each, Tensor) for each in weights.values())
    if not of_tensors or not isinstance(made_with, dict) or "trainer_name" not in content:
        raise UserError(
            f"{path} is no checkpoint of nnU-Net: it needs network_weights of tensors, init_args and trainer_name; "
            "give one that nnU-Net's own trainer wrote"
        )
    refuse_oversized(weights.values(), str(path))
    return content
