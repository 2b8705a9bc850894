"""NaN and infinity, refused where they arise: in a network's weights, and in what a network gives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from medsam_exp.runtime.errors import UserError


def all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite; whole numbers never are."""
    if not values.is_floating_point() or not values.numel():
        return True
    return bool(torch.stack(values.detach().aminmax()).isfinite().all())  # both are NaN where one value is


def broken_weights(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not finite."""
    return [name for name, values in weights.items() if not all_finite(values)]


def refuse_broken_weights(weights: Mapping[str, Tensor], network: str, file: Path) -> None:
    """Refuse a network whose weights are not finite, whatever it was loaded by.

    Args:
        weights: the state dict of the loaded network.
        network: its name, as the user chose it.
        file: where the weights come from.

    Raises:
        UserError: a tensor holds NaN or infinity.
    """
    if broken := broken_weights(weights):
        raise UserError(
            f"the weights of {network} in {file} are broken: {len(broken)} of {len(weights)} tensors hold NaN or "
            f"infinity, the first is {broken[0]}; get the file again, or take a checkpoint from before the training "
            "broke"
        )


def refuse_unstorable(weights: Mapping[str, Tensor], file: Path) -> None:
    """Refuse to write weights that the precision of a file cannot hold.

    Raises:
        UserError: a tensor, already in that precision, holds NaN or infinity.
    """
    if broken := broken_weights(weights):
        raise UserError(
            f"{len(broken)} of {len(weights)} trained weights are too large for {weights[broken[0]].dtype}, in which "
            f"{file} would hold them, the first is {broken[0]}: nothing is written; train with a lower learning rate"
        )


_PRECISION = "set trainer.precision=32-true, or choose other weights where it is set already"
"""How to mend numbers that are too large for the arithmetic."""


def not_finite(what: str, network: str, where: str = "", remedy: str = _PRECISION) -> UserError:
    """The error of a network with finite weights that gave NaN or infinity.

    Args:
        what: it gave, with the sample's id.
        network: its name.
        where: the module that `first_broken_module` found; empty where none was.
        remedy: how to mend it.
    """
    place = f", first in {where}" if where else ""
    return UserError(
        f"{network} gave {what} with NaN or infinity{place}, though its weights are finite: its numbers are too large "
        f"for the arithmetic; {remedy}; what was computed before is kept"
    )


def refuse_broken_rows(
    rows: Tensor, ids: Sequence[str], what: str, network: str, where: Callable[[], str] = str
) -> None:
    """Refuse what a network gave for a batch where a row of it is not finite.

    Args:
        rows: (B, ...), or fewer rows than ids.
        ids: of the samples; a shorter list leaves the last rows, which are padding, out.
        what: a row is, such as "the image embedding".
        network: its name.
        where: asked for the module where it broke, once it has.

    Raises:
        UserError: names the first sample.
    """
    if all_finite(rows[: len(ids)]):
        return
    first = next(name for name, row in zip(ids, rows, strict=False) if not all_finite(row))
    raise not_finite(f"{what} of {first!r}", network, where())


def first_broken_module(network: nn.Module, run: Callable[[], object]) -> str:
    """Name of the first module whose output is not finite when `run` runs the network; empty where none is."""
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not all_finite(output):
                found.append(name)

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ""
