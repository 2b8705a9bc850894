"""LoRA: low-rank corrections beside frozen weights (Hu 2022), through peft."""

from typing import ClassVar

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from medsam_exp.runtime.extras import require
from medsam_exp.types import UserError


class Lora:
    """Trains W + (alpha / rank) B A in place of W for every linear layer of both towers, and A and B alone.

    Attention of open_clip's own transformers keeps its weights in one piece that has no linear layer to
    correct; there only the layers between attentions are trained.

    Args:
        rank: columns of B and rows of A, > 0.
        alpha: the correction is scaled by alpha / rank, > 0.
        dropout: share of A's inputs dropped while training, in [0, 1).

    Raises:
        UserError: a value is out of its range, or peft is not installed.
    """

    requires: ClassVar[str] = "peft"

    def __init__(self, rank: int, alpha: int, dropout: float) -> None:
        if rank < 1 or not alpha > 0 or not 0 <= dropout < 1:
            raise UserError(
                f"adaptation.rank={rank}, adaptation.alpha={alpha} and adaptation.dropout={dropout}, but a rank of at "
                "least 1, an alpha above 0 and a dropout in [0, 1) are needed."
            )
        require("peft")
        self._rank, self._alpha, self._dropout = rank, alpha, dropout

    def prepare(self, network: nn.Module) -> None:
        """Freeze the network and put corrections beside its linear layers; B starts at zero, so nothing changes."""
        from peft import LoraConfig, LoraModel  # imports accelerate, which is slow

        targets = [
            name
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear) and not isinstance(module, NonDynamicallyQuantizableLinear)
        ]
        config = LoraConfig(
            r=self._rank, lora_alpha=self._alpha, lora_dropout=self._dropout, target_modules=targets
        )
        self._corrected = LoraModel(network, config, "default")

    def finish(self) -> None:
        """Add the corrections to the weights, and take them away: the network is a plain one again."""
        self._corrected.merge_and_unload()
