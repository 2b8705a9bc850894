"""Commands of the shell and the local web app."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.cli.interactive.session import Session as Session
    from medsam_exp.cli.segment import segment_images as segment_images
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "interactive.session": ("Session",),
            "segment": ("segment_images",),
        },
    )
