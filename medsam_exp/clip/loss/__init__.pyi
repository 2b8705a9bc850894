from .dcl import DCL as DCL
from .dhn_nce import DHNNCE as DHNNCE
from .dhn_nce_released import DHNNCEReleased as DHNNCEReleased
from .hn_nce import HNNCE as HNNCE
from .infonce import InfoNCE as InfoNCE
from .infonce_learned import InfoNCELearned as InfoNCELearned
