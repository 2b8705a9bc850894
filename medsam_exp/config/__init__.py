"""The configuration: its schema, what is checked before a model is loaded, how objects are built from it."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.config.schema import (
        check as check,
        config_type as config_type,
        register_schema as register_schema,
    )
    from medsam_exp.config.signatures import signature_problems as signature_problems
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "schema": (
                "check",
                "config_type",
                "register_schema",
            ),
            "signatures": ("signature_problems",),
        },
    )
