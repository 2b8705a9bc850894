"""A cache of networks in memory."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medsam_exp.config.build import build, keyed_values, weight_files
from medsam_exp.runtime.json_text import json_text

_KEPT = ("medsam_exp.clip.load.load_clip", "medsam_exp.sam.load.load_sam")


class NetworkCache:
    """Makes the object of a config node as `build` does; networks are cached, the least recently used ones dropped.

    A file of weights that was replaced meanwhile is read anew.

    Args:
        most: how many networks of a kind are kept.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._kept: dict[str, OrderedDict[str, Any]] = {target: OrderedDict() for target in _KEPT}

    def __call__(self, node: DictConfig, **overrides: Any) -> Any:
        """Make or find the object.

        Raises:
            UserError: it cannot be made; its own sentence.
        """
        kept = self._kept.get(str(node.get("_target_")))
        if kept is None:
            return build(node, **overrides)
        key = json_text(
            [keyed_values(node), overrides, [_state(path) for path in weight_files(node)]], default=str
        )
        if key not in kept:
            kept[key] = build(node, **overrides)
        kept.move_to_end(key)
        while len(kept) > self._most:
            kept.popitem(last=False)
        return kept[key]


def _state(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
