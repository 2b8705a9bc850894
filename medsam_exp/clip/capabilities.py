"""What a vision tower lets a saliency method see, known before any weights are loaded."""

from dataclasses import dataclass
from typing import Literal

Offer = Literal["features", "tokens", "attention"]
"""Features after a layer; those of a transformer, token by token; and its attention maps."""

_MEANING: dict[Offer, str] = {
    "features": "a vision tower that can be split: a plain vision transformer or a convolutional network",
    "tokens": "a plain vision transformer",
    "attention": "a plain vision transformer that reads its embedding from a class token or pooled patches",
}


@dataclass(frozen=True)
class VisionLayout:
    """How a vision tower is built.

    Attributes:
        kind: its class, for messages.
        depth: number of layers (blocks of a transformer, stages of a convolutional network); 0 when it cannot be
            split.
        last_layer: the last 0-based layer after which the patches still decide the embedding. Where the embedding
            is read from a class token alone, what the last block does to the patches reaches nothing.
        offers: what a method can ask of it.
    """

    kind: str
    depth: int = 0
    last_layer: int = -1
    offers: frozenset[Offer] = frozenset()

    def refusal(self, needs: Offer | None, who: str) -> str | None:
        """One sentence that says why `who` cannot work on this tower; None when it can."""
        if needs is None or needs in self.offers:
            return None
        return (
            f"{who} needs {_MEANING[needs]}, but clip.model has a vision tower of kind {self.kind}; "
            "choose another clip or another saliency"
        )

    def layer_problem(self, layer: int) -> str | None:
        """One sentence that says why patches after `layer` make no sense; None when they do."""
        counted = f"{self.depth} layers, counted from 0 to {self.depth - 1}"
        if not 0 <= layer < self.depth:
            return f"has {counted}"
        if layer > self.last_layer:
            return (
                f"has {counted}, and patches after the last one do not reach the embedding, which is read from the "
                f"class token; the largest useful layer is {self.last_layer}"
            )
        return None
