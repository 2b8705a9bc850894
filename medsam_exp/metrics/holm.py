"""Several tests at once: p-values corrected so that one false alarm among all of them stays as rare as asked."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979), which holds whatever the tests have in common.

    Args:
        p_values: (m,) in [0, 1].

    Returns:
        (m,) corrected p-values in the same order: the k-th smallest times m - k + 1, at most 1, and never below the
        correction of a smaller one.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
