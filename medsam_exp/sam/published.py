"""The published weights of an architecture: how they are called, where from; torch is not imported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """The published weights of one architecture.

    Attributes:
        file: name of the checkpoint.
        where_from: how to come by it, in the words of an error's advice.
        others: names of further files of the same architecture.
    """

    file: str
    where_from: str
    others: tuple[str, ...] = ()


def get(name: str, by_hand: str) -> str:
    """Advice that names the entry of `medsam-exp weights`, and what else can be done."""
    return f"`medsam-exp weights get {name}` fetches it; or {by_hand}"
