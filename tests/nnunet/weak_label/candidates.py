"""A zero-shot mask to be judged."""

import dataclasses

import numpy as np

from medsam_exp.nnunet.weak_label.candidate import Candidate


def candidate(mask: np.ndarray, **facts: object) -> Candidate:
    """A mask that everything speaks for."""
    trusted = Candidate("scan@tumor", "scan", "tumor", mask, mask.copy(), (0.99, 0.95), 0.99)
    return dataclasses.replace(trusted, **facts)
