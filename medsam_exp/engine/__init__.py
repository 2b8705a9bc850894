"""Runs stages: plans their keys, computes what is not stored yet, keeps test images apart from training images."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.engine.engine import Engine as Engine
    from medsam_exp.engine.firewall import refuse_learnt_images as refuse_learnt_images
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "engine": ("Engine",),
            "firewall": ("refuse_learnt_images",),
        },
    )
