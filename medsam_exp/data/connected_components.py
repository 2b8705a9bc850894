"""Connected components of a graph."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def connected_components(nodes: Sequence[Node], edges: Iterable[tuple[Node, Node]]) -> list[list[Node]]:
    """Group nodes that are linked, directly or through others, by union-find.

    Args:
        nodes: all of them, distinct.
        edges: pairs of nodes.

    Returns:
        Groups in the order of their first members, members in the order of `nodes`; a node without edges is alone.
    """
    place = {node: number for number, node in enumerate(nodes)}
    parent = list(range(len(nodes)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for a, b in edges:
        low, high = sorted((root(place[a]), root(place[b])))
        parent[high] = low
    groups: dict[int, list[Node]] = {}
    for node in nodes:
        groups.setdefault(root(place[node]), []).append(node)
    return list(groups.values())
