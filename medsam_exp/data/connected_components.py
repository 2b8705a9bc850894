"""Connected components of a graph."""

from collections.abc import Iterable
from typing import TypeVar

import scipy

Node = TypeVar("Node", int, str)


def connected_components(nodes: Iterable[Node], edges: Iterable[tuple[Node, Node]]) -> list[list[Node]]:
    """Group nodes that are linked, directly or through others.

    Args:
        nodes: all of them, distinct, in ascending order.
        edges: pairs of nodes.

    Returns:
        Groups in the order of their first members, members in ascending order; a node without edges is alone.
    """
    groups = scipy.cluster.hierarchy.DisjointSet(nodes)
    for a, b in edges:
        groups.merge(a, b)
    return [sorted(group) for group in groups.subsets()]
