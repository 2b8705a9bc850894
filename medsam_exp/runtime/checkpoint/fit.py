"""Whether weights fit a network: which names and shapes differ, and what kind of network the weights are of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

_SHOWN = 5
_OF_SAM = ("image_encoder.", "prompt_encoder.", "mask_decoder.", "shared_image_embedding.")
_OF_CLIP = ("visual.", "text.transformer.", "text_model.", "vision_model.", "token_embedding.")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class StateDictDiff:
    """Differences between weights and a network's state dict; false when there are none.

    Attributes:
        missing: names that the network has and the weights lack, sorted.
        unexpected: names that the weights have and the network lacks, sorted.
        misshapen: by name, sorted, the shape in the weights and the network's.
        count: tensors of the network.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: Mapping[str, tuple[Shape, Shape]]
    count: int

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.missing or self.unexpected or self.misshapen)

    def surplus_advice(self, network: str) -> str | None:
        """What to do with weights that hold all that a network needs, and more; None for others."""
        if not self.unexpected or self.missing or self.misshapen:
            return None
        return (
            f"all that {network} needs is there, and more; where that is no part of the network, save its "
            "state_dict() alone"
        )

    def summary(self) -> str:
        """Counts of each kind, such as "1 missing, 7 unexpected, of 149"."""
        counts = [f"{len(rows)} {kind}" for kind, rows in self._rows().items()]
        return ", ".join([*counts, f"of {self.count}"])

    def table(self) -> str:
        """The first few names of each kind, a line each, every line after a newline."""
        lines = []
        for kind, rows in self._rows().items():
            lines += [f"  {kind}:", *(f"    {row}" for row in rows[:_SHOWN])]
            if rows[_SHOWN:]:
                lines.append(f"    and {len(rows) - _SHOWN} more")
        return "".join(f"\n{line}" for line in lines)

    def _rows(self) -> dict[str, list[str]]:
        shapes = [f"{name}  {held}, network {wanted}" for name, (held, wanted) in self.misshapen.items()]
        rows = {
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "of another shape": shapes,
        }
        return {kind: names for kind, names in rows.items() if names}


def state_dict_diff(weights: Mapping[str, Tensor], network: nn.Module) -> StateDictDiff:
    """Compare names and shapes of weights, in the network's names, with those of a network."""
    own = network.state_dict()
    return StateDictDiff(
        tuple(sorted(own.keys() - weights.keys())),
        tuple(sorted(weights.keys() - own.keys())),
        {
            name: (tuple(weights[name].shape), tuple(own[name].shape))
            for name in sorted(own.keys() & weights.keys())
            if weights[name].shape != own[name].shape
        },
        len(own),
    )


def network_kind(names: Iterable[str]) -> Literal["SAM", "CLIP"] | None:
    """Which kind of network has tensors of such names; None for others."""
    listed = list(names)
    if any(name.startswith(_OF_SAM) for name in listed):
        return "SAM"
    return "CLIP" if any(name.startswith(_OF_CLIP) for name in listed) else None
