"""Freeze the first layers of the towers, or all of a tower."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

from torch import nn

from medsam_exp.types import UserError

_BLOCKS = ("blocks", "resblocks", "layer")
"""Names of the stack of blocks in timm's, open_clip's and Hugging Face's transformers."""
_BEFORE = (
    "patch_embed",
    "cls_token",
    "reg_token",
    "pos_embed",
    "norm_pre",
    "conv1",
    "class_embedding",
    "positional_embedding",
    "ln_pre",
    "token_embedding",
    "embeddings",
)
"""Names of what lies before the blocks, in the same three libraries."""


class Freeze:
    """Trains all but the first blocks of each tower.

    Args:
        vision_blocks: frozen from the input on, with the embedding before them; 0 trains all, "all" freezes the
            whole tower with its projection.
        text_blocks: likewise.
    """

    def __init__(self, vision_blocks: int | Literal["all"], text_blocks: int | Literal["all"]) -> None:
        self._vision_blocks, self._text_blocks = vision_blocks, text_blocks

    def prepare(self, network: nn.Module) -> None:
        """Freeze, before the training.

        Raises:
            UserError: a tower has fewer blocks, or none that are known.
        """
        vision, text = towers(network)
        _freeze(vision, self._vision_blocks, "adaptation.vision_blocks")
        _freeze(text, self._text_blocks, "adaptation.text_blocks")
        if not any(parameter.requires_grad for _, parameter in vision + text):
            raise UserError(
                "adaptation freezes both towers, so that nothing is left to train; free one of them."
            )

    def finish(self) -> None:
        """Leave the trained weights as they are."""


Named = list[tuple[str, nn.Parameter]]


def towers(network: nn.Module) -> tuple[Named, Named]:
    """Parameters by name of the vision tower and of the text tower of open_clip's network."""
    parameters = [item for item in network.named_parameters() if item[0] not in ("logit_scale", "logit_bias")]
    vision = [item for item in parameters if item[0].startswith("visual.")]
    return vision, [item for item in parameters if not item[0].startswith("visual.")]


def _freeze(tower: Named, blocks: int | Literal["all"], key: str) -> None:
    if blocks == "all":
        _switch_off(parameter for _, parameter in tower)
        return
    if blocks < 0:
        raise UserError(f"{key}={blocks}, but a number of blocks cannot be negative.")
    if blocks == 0:
        return
    numbered = [(_block_number(name), name, parameter) for name, parameter in tower]
    depth = max((number + 1 for number, _, _ in numbered if number is not None), default=0)
    if blocks > depth:
        raise UserError(f"{key}={blocks}, but that tower has {depth} blocks; use `all` to freeze the tower.")
    for number, name, parameter in numbered:
        if (number is None and set(name.split(".")) & set(_BEFORE)) or (
            number is not None and number < blocks
        ):
            _switch_off([parameter])


def _switch_off(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(False)


def _block_number(name: str) -> int | None:
    """0-based block of a parameter; None outside the stack of blocks."""
    parts = name.split(".")
    for stack, number in pairwise(parts):
        if stack in _BLOCKS and number.isdigit():
            return int(number)
    return None
