"""Files of weights of every writer."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from medsam_exp.nnunet.checkpoint import read_checkpoint
from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.runtime.finite import refuse_broken_weights
from tests.fuzz.reader import Files, Reader

_STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


def _saved(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _lightning() -> bytes:
    state = {f"network.{name}": value for name, value in _STATE.items()}
    return _saved({"epoch": 1, "global_step": 5, "state_dict": state, "optimizer_states": [{"step": 1}]})


def _torchscript() -> bytes:
    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pt"
        torch.jit.save(torch.jit.script(Module()), str(path))
        return path.read_bytes()


def _nnunet(**options: object) -> bytes:
    content = {
        "network_weights": _STATE,
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "2d", "fold": 0},
        "inference_allowed_mirroring_axes": (0, 1),
        "logging": {"mean_fg_dice": [np.float64(0.5)]},
        "_best_ema": np.float32(0.5),
    }
    return _saved(content, **options)


def _read(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        path = folder / name
        refuse_broken_weights(read_weights(path), "clip.model=x", path)

    return read


def _weights(name: str, make: Callable[[], bytes], of: str) -> Reader:
    def files() -> Files:
        return {name: make()}

    return Reader(of, files, _read(name))


READERS = (
    _weights("a.pt", lambda: _saved(_STATE), "state dict"),
    _weights("a.pth", lambda: _saved(_STATE, _use_new_zipfile_serialization=False), "state dict legacy"),
    _weights("a.ckpt", _lightning, "lightning"),
    _weights("a.safetensors", lambda: save(_STATE), "safetensors"),
    _weights("a.pt", _torchscript, "torchscript"),
    Reader(
        "nnunet checkpoint",
        lambda: {"a.pth": _nnunet()},
        lambda folder: read_checkpoint(folder / "a.pth"),
        cost=10,
    ),
    Reader(
        "nnunet checkpoint legacy",
        lambda: {"a.pth": _nnunet(_use_new_zipfile_serialization=False)},
        lambda folder: read_checkpoint(folder / "a.pth"),
    ),
)
