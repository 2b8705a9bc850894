from .ensemble import EnsembleSettings as EnsembleSettings
from .inference import Predictor as Predictor
from .label_ignore.border import Border as Border
from .label_ignore.disagreement import Disagreement as Disagreement
from .label_ignore.unsure import Unsure as Unsure
from .label_weight.agreement import Agreement as Agreement
from .label_weight.predicted_iou import PredictedIoU as PredictedIoU
from .nnunet_loss.dice_ce import DiceCE as DiceCE
from .nnunet_loss.dice_gce import DiceGCE as DiceGCE
from .nnunet_loss.dice_sce import DiceSCE as DiceSCE
from .nnunet_schedule.cyclic_poly import CyclicPoly as CyclicPoly
from .nnunet_schedule.poly import Poly as Poly
from .settings import NnunetSettings as NnunetSettings
from .snapshots import snapshot_epochs as snapshot_epochs
from .uncertainty.maps import EnsembleMoments as EnsembleMoments
from .uncertainty.maps import entropy as entropy
from .uncertainty.quality import aurc as aurc
from .uncertainty.quality import excess_aurc as excess_aurc
from .uncertainty.quality import risk_coverage as risk_coverage
from .uncertainty.reliability import ReliabilityBins as ReliabilityBins
from .uncertainty.reliability import ReliabilityCurve as ReliabilityCurve
from .uncertainty.temperature import (
    apply_temperature as apply_temperature,
)
from .uncertainty.temperature import (
    fit_temperature as fit_temperature,
)
from .weak_label.all import AllMasks as AllMasks
from .weak_label.candidate import Candidate as Candidate
from .weak_label.confident import Confident as Confident
