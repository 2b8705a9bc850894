"""Everything that speaks to nnU-Net (`nnunetv2`, an optional extra), which is used as published.

Importing nnU-Net takes seconds, so modules here import it inside the functions that need it.
"""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.nnunet.ensemble import EnsembleSettings as EnsembleSettings
    from medsam_exp.nnunet.inference import Predictor as Predictor
    from medsam_exp.nnunet.nnunet_schedule.cyclic_poly import CyclicPoly as CyclicPoly
    from medsam_exp.nnunet.nnunet_schedule.poly import Poly as Poly
    from medsam_exp.nnunet.settings import NnunetSettings as NnunetSettings
    from medsam_exp.nnunet.snapshots import snapshot_epochs as snapshot_epochs
    from medsam_exp.nnunet.uncertainty.maps import (
        EnsembleMoments as EnsembleMoments,
        entropy as entropy,
    )
    from medsam_exp.nnunet.uncertainty.quality import (
        aurc as aurc,
        excess_aurc as excess_aurc,
        risk_coverage as risk_coverage,
    )
    from medsam_exp.nnunet.uncertainty.reliability import (
        ReliabilityBins as ReliabilityBins,
        ReliabilityCurve as ReliabilityCurve,
    )
    from medsam_exp.nnunet.uncertainty.temperature import (
        apply_temperature as apply_temperature,
        fit_temperature as fit_temperature,
    )
    from medsam_exp.nnunet.weak_label.all import AllMasks as AllMasks
    from medsam_exp.nnunet.weak_label.candidate import Candidate as Candidate
    from medsam_exp.nnunet.weak_label.confident import Confident as Confident
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "ensemble": ("EnsembleSettings",),
            "inference": ("Predictor",),
            "nnunet_schedule.cyclic_poly": ("CyclicPoly",),
            "nnunet_schedule.poly": ("Poly",),
            "settings": ("NnunetSettings",),
            "snapshots": ("snapshot_epochs",),
            "uncertainty.maps": (
                "EnsembleMoments",
                "entropy",
            ),
            "uncertainty.quality": (
                "aurc",
                "excess_aurc",
                "risk_coverage",
            ),
            "uncertainty.reliability": (
                "ReliabilityBins",
                "ReliabilityCurve",
            ),
            "uncertainty.temperature": (
                "apply_temperature",
                "fit_temperature",
            ),
            "weak_label.all": ("AllMasks",),
            "weak_label.candidate": ("Candidate",),
            "weak_label.confident": ("Confident",),
        },
    )
