"""Puts what is linked, directly or through others, into one group."""

from collections.abc import Iterable


def chained(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of places 0 to count - 1, in the order of their first members; a place without links is alone."""
    above = list(range(count))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for a, b in links:
        low, high = sorted((top(a), top(b)))
        above[high] = low
    groups: dict[int, list[int]] = {}
    for place in range(count):
        groups.setdefault(top(place), []).append(place)
    return list(groups.values())
