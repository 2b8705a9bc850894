"""What a vision tower can do for a saliency method, known before any weights are loaded; and the towers' base."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from medsam_exp.types import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from medsam_exp.clip.blocks import PlainBlock

Capability = Literal["features", "tokens", "blocks", "attention"]
"""Features after a layer; those of a transformer, token by token; its blocks in parts, as queries, keys and values; and
attention maps that alone lead from the patches to the embedding."""

MEANING: dict[Capability, str] = {
    "features": "a vision tower that can be split: a plain vision transformer or a convolutional network",
    "tokens": "a plain vision transformer",
    "blocks": "a plain vision transformer with the usual attention in its blocks",
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
        capabilities: what it can do for a method.
    """

    kind: str
    depth: int = 0
    last_layer: int = -1
    capabilities: frozenset[Capability] = frozenset()

    @property
    def reads_class_token(self) -> bool:
        """Whether the embedding is read from a class token alone."""
        return self.last_layer < self.depth - 1

    @property
    def three_quarters(self) -> int:
        """The layer at three quarters of the depth, as 9 of BiomedCLIP's 12; the last useful one where that is less."""
        return max(0, min(3 * self.depth // 4, self.last_layer))

    def refusal(self, needs: Capability | None, who: str) -> str | None:
        """One sentence that says why `who` cannot work on this tower; None when it can."""
        if needs is None or needs in self.capabilities:
            return None
        return (
            f"{who} needs {MEANING[needs]}, but clip.model has a vision tower of kind {self.kind}; "
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


class VisionTower:
    """A vision network seen as tokens, a stack of layers, and a head.

    This base is one that cannot be split, and raises a UserError where that is asked for.

    Shapes: B images, T tokens (CLS and its like, then gh * gw patches row by row), C channels, D embedding.

    Args:
        layout: how it is built and what it can do.

    Attributes:
        prefix_tokens: tokens before the patches (1 for CLS).
    """

    prefix_tokens: int = 0

    def __init__(self, layout: VisionLayout) -> None:
        self.layout = layout

    def grid_after(self, layer: int) -> tuple[int, int]:
        """(gh, gw) patches after the 0-based layer `layer`; (0, 0) where no patches are known."""
        return (0, 0)

    def prefix(self, images: "Tensor", layer: int) -> "Tensor":
        """Tokens (B, T, C) after the 0-based layer `layer` of images (B, 3, h, w)."""
        raise self._refusal("features")

    def suffix(self, tokens: "Tensor", layer: int) -> "Tensor":
        """Un-normalised embeddings (B, D) of tokens (B, T, C) taken after the 0-based layer `layer`."""
        raise self._refusal("features")

    def forward_with_attention(self, images: "Tensor") -> "tuple[Tensor, list[Tensor]]":
        """Embeddings (B, D), and the attention (B, heads, T, T) of each block, on which they depend."""
        raise self._refusal("features" if not self.layout.capabilities else "attention")

    def entering(self, images: "Tensor", layer: int) -> "Tensor":
        """Tokens (B, T, C) of images (B, 3, h, w) that enter the 0-based layer `layer`."""
        raise self._refusal("tokens")

    def block(self, layer: int) -> "PlainBlock":
        """The 0-based layer `layer` in parts."""
        raise self._refusal("blocks")

    def pooled(self, tokens: "Tensor") -> "tuple[Tensor, Tensor | None]":
        """Embeddings (B, D) of the tokens (B, T, C) after any layer, their mean in the place of a class token.

        And the attention that pools them (B, heads, latents, T), where that is how they are pooled.
        """
        raise self._refusal("tokens")

    def patch_embeddings(self, tokens: "Tensor") -> "Tensor":
        """Embeddings (B, gh * gw, D) of each patch by itself, of the tokens (B, T, C) that enter the last layer."""
        raise self._refusal("blocks")

    def embedded_alone(self, tokens: "Tensor") -> "Tensor":
        """Embeddings (B, gh * gw, D) of each patch by itself, of the tokens (B, T, C) after the last layer."""
        raise self._refusal("tokens")

    def _refusal(self, needs: Capability) -> UserError:
        return UserError(f"{self.layout.refusal(needs, 'the saliency')}.")
