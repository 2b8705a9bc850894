"""CLIP models through open_clip: load them, encode with them, split their vision tower after a layer."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.clip.adaptation.freeze import Freeze as Freeze
    from medsam_exp.clip.adaptation.lora import Lora as Lora
    from medsam_exp.clip.load import (
        load_clip as load_clip,
        save_clip as save_clip,
    )
    from medsam_exp.clip.loss.dcl import DCL as DCL
    from medsam_exp.clip.loss.dhn_nce import DHNNCE as DHNNCE
    from medsam_exp.clip.loss.dhn_nce_released import DHNNCEReleased as DHNNCEReleased
    from medsam_exp.clip.loss.hn_nce import HNNCE as HNNCE
    from medsam_exp.clip.loss.infonce import InfoNCE as InfoNCE
    from medsam_exp.clip.loss.infonce_learned import InfoNCELearned as InfoNCELearned
    from medsam_exp.clip.model import ClipModel as ClipModel
    from medsam_exp.clip.preprocess import Preprocess as Preprocess
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "adaptation.freeze": ("Freeze",),
            "adaptation.lora": ("Lora",),
            "load": (
                "load_clip",
                "save_clip",
            ),
            "loss.dcl": ("DCL",),
            "loss.dhn_nce": ("DHNNCE",),
            "loss.dhn_nce_released": ("DHNNCEReleased",),
            "loss.hn_nce": ("HNNCE",),
            "loss.infonce": ("InfoNCE",),
            "loss.infonce_learned": ("InfoNCELearned",),
            "model": ("ClipModel",),
            "preprocess": ("Preprocess",),
        },
    )
