"""Where the members of an ensemble are unsure, and where they disagree: maps over pixels, and one number."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROUNDING = 1e-3  # a float16 softmax sums to 1 within this
_NUMBERS_AT_ONCE = 16_000_000  # float32 values of unpacked masks in memory


def entropy(probabilities: Tensor) -> Tensor:
    """How undecided a probability is between the classes (paper eq. 22).

    Args:
        probabilities: (..., K, H, W) in [0, 1], sum 1 over K.

    Returns:
        (..., H, W) in nats: 0 where one class is certain, ln K where all are equally likely.
    """
    result: Tensor = torch.special.entr(probabilities).sum(dim=-3)
    return result


class EnsembleMoments:
    """Accumulates moments of the members' probabilities; memory does not grow with the number of members.

    Sums run in float64 on the CPU wherever the members come from, by Welford's update, so that members that are
    all alike have no variance and no mutual information at all, and the order of members does not matter.
    """

    def __init__(self) -> None:
        self.members = 0
        self._mean = self._mean_entropy = self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, probabilities: Tensor) -> None:
        """Take in one member.

        Args:
            probabilities: (K, H, W) in [0, 1], sum 1 over K; class 0 is the background.

        Raises:
            ValueError: another shape than the members before, or no probabilities.
        """
        member = probabilities.detach().cpu().double()
        if member.ndim != 3 or (self.members and member.shape != self._mean.shape):
            raise ValueError(
                f"member {self.members + 1} has the shape {tuple(member.shape)}, not (K, H, W) as all others"
            )
        if not ((member >= 0).all() and ((member.sum(dim=0) - 1).abs() <= _ROUNDING).all()):
            raise ValueError(
                f"member {self.members + 1} is not a probability: below 0, or not 1 in sum over K"
            )
        self.members += 1
        difference = member - self._mean
        self._mean = self._mean + difference / self.members
        self._squares = self._squares + difference * (member - self._mean)
        self._mean_entropy = self._mean_entropy + (entropy(member) - self._mean_entropy) / self.members

    def mean(self) -> Tensor:
        """Mean probability of the members (paper eq. 21), (K, H, W) float32.

        Raises:
            ValueError: there is no member yet.
        """
        self._require_members()
        return self._mean.float()

    def maps(self) -> dict[str, Tensor]:
        """Uncertainty at each pixel, (H, W) float32 each.

        Returns:
            `entropy`, of the mean probability, in nats (paper eqs. 22-23): unsure for whatever reason;
            `mean_entropy`, mean of the members' own entropies, in nats: what each member is unsure of by itself;
            `mutual_information`, the rest of `entropy`, >= 0, in nats: what the members disagree about
            (Depeweg et al. 2018); `variance`, of the members' probabilities (divided by their number), summed
            over the foreground classes.

        Raises:
            ValueError: there is no member yet.
        """
        self._require_members()
        total = entropy(self._mean)
        found = {
            "entropy": total,
            "mean_entropy": self._mean_entropy,
            "mutual_information": (total - self._mean_entropy).clamp(min=0),
            "variance": (self._squares[1:] / self.members).sum(dim=0),
        }
        return {name: values.float() for name, values in found.items()}

    def _require_members(self) -> None:
        if not self.members:
            raise ValueError("the ensemble has no member yet")


class MemberMasks:
    """Collects the members' masks, a bit for each pixel and foreground class, and says how much they differ.

    Args:
        classes: K, with the background, at least 2.
    """

    def __init__(self, classes: int = 2) -> None:
        if classes < 2:
            raise ValueError(f"{classes} classes are no segmentation; there must be at least 2")
        self.classes = classes
        self._shape: tuple[int, ...] | None = None
        self._planes: list[NDArray[np.uint8]] = []  # one a member, (K - 1, ceil(H W / 8))

    @property
    def members(self) -> int:
        """How many masks there are."""
        return len(self._planes)

    def add(self, labels: Tensor | NDArray[np.integer] | NDArray[np.bool_]) -> None:
        """Take in one member's mask.

        Args:
            labels: (H, W) class of each pixel, 0 (background) to K - 1; or bool for two classes.

        Raises:
            ValueError: another shape than the members before, or a class that does not exist.
        """
        found = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        shape = self._shape or found.shape
        if found.ndim != 2 or found.shape != shape:
            raise ValueError(
                f"member {self.members + 1} has the shape {found.shape}, not (H, W) as all others"
            )
        if found.size and not (found.min() >= 0 and found.max() < self.classes):
            raise ValueError(f"member {self.members + 1} has labels outside 0 to {self.classes - 1}")
        planes = np.stack([found.ravel() == label for label in range(1, self.classes)])
        self._planes.append(np.packbits(planes, axis=1))
        self._shape = shape

    def pairwise_dice_disagreement(self) -> float:
        """How little two members' masks overlap, on average over all pairs (Roy et al. 2019).

        Returns:
            1 - mean DSC, in [0, 1]. Two empty masks agree. With several foreground classes their mean counts.
            0 for a single member, which nothing contradicts.

        Raises:
            ValueError: there is no member yet.
        """
        if not self.members:
            raise ValueError("the ensemble has no member yet")
        if self.members == 1:
            return 0.0
        planes = np.stack(self._planes, axis=1)
        return 1.0 - float(np.mean([_mean_pairwise_dice(_intersections(plane)) for plane in planes]))


def _intersections(packed: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(M, M) number of common pixels of M packed masks (M, bytes); their areas are on the diagonal."""
    packed = packed[:, packed.any(axis=0)]  # what is background for all adds nothing
    members, width = packed.shape
    common = np.zeros((members, members))
    step = max(1, _NUMBERS_AT_ONCE // (8 * members))
    for start in range(0, width, step):  # float32 counts exactly up to 2^24, more than a block has pixels
        masks = np.unpackbits(packed[:, start : start + step], axis=1).astype(np.float32)
        common += masks @ masks.T
    return common


def _mean_pairwise_dice(common: NDArray[np.float64]) -> float:
    """Mean DSC over the pairs of masks with these common areas."""
    areas = np.diag(common)
    total = areas[:, None] + areas
    dice = np.divide(2 * common, total, out=np.ones_like(common), where=total > 0)
    return float(dice[np.triu_indices(len(dice), k=1)].mean())
