"""Base of saliency methods that change how another one is applied."""

from dataclasses import dataclass

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.geometry import Geometry
from medsam_exp.saliency.method import SaliencyMethod


@dataclass(frozen=True, kw_only=True)
class Wrapper(SaliencyMethod):
    """Serves the networks and hears the text as `inner` does, unless a subclass needs more.

    Args:
        inner: any saliency method.
    """

    inner: SaliencyMethod

    def __post_init__(self) -> None:
        object.__setattr__(self, "uses_text", self.inner.uses_text)  # the class knows no inner method; frozen
        object.__setattr__(self, "of_patches", self.inner.of_patches)
        if type(self).needs is None:
            object.__setattr__(self, "needs", self.inner.needs)

    def geometry(self, clip: ClipModel) -> Geometry:
        """That of the inner method."""
        return self.inner.geometry(clip)
