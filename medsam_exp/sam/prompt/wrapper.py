"""Base of prompts that change how the prompts of another choice are asked."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from medsam_exp.types import ImagePrompter, MapPrompter, Mask, Prompter, Prompts, SaliencyMap, UserError


@dataclass(frozen=True)
class Wrapped(ABC):
    """Asks as `inner` does, but for what a subclass changes of its prompts.

    Args:
        inner: any prompter that does not look at the image, of maps or not.

    Raises:
        UserError: the inner prompter looks at the image.
    """

    inner: Prompter | MapPrompter

    def __post_init__(self) -> None:
        if isinstance(self.inner, ImagePrompter):
            raise UserError(
                "prompt.inner looks at the image's pixels, which a prompt inside another is not given: choose another "
                "inner one."
            )

    @property
    def gives_points(self) -> bool:
        """As the inner prompter."""
        return self.inner.gives_points

    @property
    def gives_masks(self) -> bool:
        """As the inner prompter."""
        return bool(getattr(self.inner, "gives_masks", False))

    @property
    def alternatives(self) -> int:
        """As the inner prompter."""
        return int(getattr(self.inner, "alternatives", 1))

    def on_map(self, saliency_map: SaliencyMap) -> Prompter:
        """Return the prompter of an image by its (H, W) map."""
        inner = self.inner
        return _On(
            self, inner.on_map(saliency_map) if isinstance(inner, MapPrompter) else inner, saliency_map
        )

    @abstractmethod
    def changed(self, prompts: Prompts, saliency_map: SaliencyMap, generator: np.random.Generator) -> Prompts:
        """What becomes of the inner prompter's prompts, at least one, on the image of a (H, W) map."""


@dataclass(frozen=True)
class _On:
    wrapped: Wrapped
    inner: Prompter
    saliency_map: SaliencyMap

    @property
    def gives_points(self) -> bool:
        """Of all prompts."""
        return self.wrapped.gives_points

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return the prompts of a (H, W) mask; none for an empty one."""
        prompts = self.inner(coarse_mask, generator)
        return self.wrapped.changed(prompts, self.saliency_map, generator) if len(prompts) else prompts
