"""Where the text of an image comes from: one file per source."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.text.class_name import ClassName as ClassName
    from medsam_exp.text.description import Description as Description
    from medsam_exp.text.ensemble_generic import EnsembleGeneric as EnsembleGeneric
    from medsam_exp.text.ensemble_subtype import EnsembleSubtype as EnsembleSubtype
    from medsam_exp.text.free import FreeText as FreeText
    from medsam_exp.text.generic import Generic as Generic
    from medsam_exp.text.per_image import PerImage as PerImage
    from medsam_exp.text.shuffled import Shuffled as Shuffled
    from medsam_exp.text.subtype import Subtype as Subtype
    from medsam_exp.text.subtype_name import SubtypeName as SubtypeName
    from medsam_exp.text.windows import Windows as Windows
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "class_name": ("ClassName",),
            "description": ("Description",),
            "ensemble_generic": ("EnsembleGeneric",),
            "ensemble_subtype": ("EnsembleSubtype",),
            "free": ("FreeText",),
            "generic": ("Generic",),
            "per_image": ("PerImage",),
            "shuffled": ("Shuffled",),
            "subtype": ("Subtype",),
            "subtype_name": ("SubtypeName",),
            "windows": ("Windows",),
        },
    )
