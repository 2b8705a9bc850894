"""What every room needs of the machine: files, locks, processes, signals, random numbers, progress."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.runtime.artifacts import (
        StageArtifacts as StageArtifacts,
        stage_key as stage_key,
    )
    from medsam_exp.runtime.digests import FileDigests as FileDigests
    from medsam_exp.runtime.errors import UserError as UserError
    from medsam_exp.runtime.extras import require as require
    from medsam_exp.runtime.interrupts import stops_when_asked as stops_when_asked
    from medsam_exp.runtime.seeding import (
        derive_seed as derive_seed,
        numpy_generator as numpy_generator,
        torch_generator as torch_generator,
    )
    from medsam_exp.runtime.tensor_batch import TensorBatch as TensorBatch
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "artifacts": (
                "StageArtifacts",
                "stage_key",
            ),
            "digests": ("FileDigests",),
            "errors": ("UserError",),
            "extras": ("require",),
            "interrupts": ("stops_when_asked",),
            "seeding": (
                "derive_seed",
                "numpy_generator",
                "torch_generator",
            ),
            "tensor_batch": ("TensorBatch",),
        },
    )
