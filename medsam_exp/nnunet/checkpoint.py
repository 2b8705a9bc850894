"""nnU-Net's checkpoints, ours or anybody's, read without running anything that a file may contain."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = named.group(1) if named else "something unknown"
        raise UserError(
            f"{path} holds more than numbers and names ({what}), which could run any code, so it is not opened; "
            "give a checkpoint that nnU-Net's own trainer wrote"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else "incomplete, or no file of torch's"
        raise UserError(f"{path} cannot be read as a checkpoint of nnU-Net: {reason}") from error
    if not isinstance(content, dict) or "network_weights" not in content:
        raise UserError(f"{path} is no checkpoint of nnU-Net: it has no network_weights")
    return content
