"""What a promptable network's choice says: how it is built, framed and read from files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from medsam_exp.sam.framing import Framing
from medsam_exp.sam.huggingface_layout import from_huggingface, is_huggingface
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.promptable import PromptableModel

Weights = Mapping[str, Tensor]


def metas_names(weights: Weights, _: Any) -> dict[str, Tensor]:
    """segment-anything's names, of transformers' too."""
    return from_huggingface(weights) if is_huggingface(weights) else dict(weights)


@dataclass(frozen=True)
class Family:
    """One choice of architecture.

    Attributes:
        build: makes the network with random weights.
        framing: the way into its input frame.
        model: what asks it.
        names: (weights by the names of their file, network) to weights by the network's names; unknown ones stay.
    """

    build: Callable[[], Any]
    framing: type[Framing]
    model: type[PromptableModel] = SamModel
    names: Callable[[Weights, Any], dict[str, Tensor]] = metas_names

    def make(self, network: Any = None) -> PromptableModel:
        """The whole model, with random weights, or with a network that was built elsewhere."""
        network = self.build() if network is None else network
        wrap: Callable[[Any, Framing], PromptableModel] = self.model
        return wrap(network, self.framing(self.model.side_of(network)))
