"""What a file of weights says that it holds, against its bytes and the limits."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, strided

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.limits import GIB, limits, refuse_beyond

_REMEDY = "save the state_dict() anew with torch.save or safetensors"


def refuse_inflated(path: Path) -> None:
    """Refuse an archive that would grow out of all proportion, before anything of it is unpacked.

    PyTorch stores weights unpacked, so an archive is as large as what it holds; one that was packed, or that names one
    stretch of bytes several times, grows.

    Raises:
        UserError: it holds many times its own bytes, or more than the limit.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if limits().is_bomb(path.stat().st_size, unpacked):
        raise UserError(
            f"{path} has {path.stat().st_size:,} bytes and would unpack to {unpacked:,}, more than "
            f"limits.packing={limits().packing:g} times as many: {_REMEDY}"
        )
    refuse_beyond(path, unpacked, "weights_gib", GIB, _REMEDY)


def refuse_oversized(tensors: Iterable[Tensor], named: str) -> None:
    """Refuse tensors that repeat few numbers many times, which take memory as soon as they are used.

    Args:
        tensors: as read.
        named: what sentences call their file.

    Raises:
        UserError: one has far more elements than there are numbers behind it, or all are beyond the limit.
    """
    total = 0
    for tensor in tensors:
        if tensor.is_sparse or tensor.is_quantized:
            raise UserError(f"{named} holds tensors that are sparse or quantized: {_REMEDY}")
        size = tensor.numel() * tensor.element_size()
        stored = tensor.untyped_storage().nbytes() if tensor.layout == strided else size
        if limits().is_bomb(stored, size):
            raise UserError(f"{named} holds a tensor of {size:,} bytes made of {stored:,}: {_REMEDY}")
        total += size
    refuse_beyond(named, total, "weights_gib", GIB, _REMEDY)
