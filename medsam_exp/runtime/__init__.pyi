from .artifacts import StageArtifacts as StageArtifacts
from .artifacts import stage_key as stage_key
from .digests import FileDigests as FileDigests
from .errors import UserError as UserError
from .extras import require as require
from .interrupts import stops_when_asked as stops_when_asked
from .seeding import (
    derive_seed as derive_seed,
)
from .seeding import (
    numpy_generator as numpy_generator,
)
from .seeding import (
    torch_generator as torch_generator,
)
from .tensor_batch import TensorBatch as TensorBatch
