"""Networks that stay in memory from one question to the next."""

from collections import OrderedDict
from typing import Any

from omegaconf import DictConfig

from medsam_exp.config.build import build, keyed_values, weight_files
from medsam_exp.runtime.json_text import json_text

_NETWORKS = ("medsam_exp.clip.load.", "medsam_exp.sam.load.", "medsam_exp.text_segmenter.")
"""What the targets of networks begin with."""
_NETWORKS_OF_A_KIND = 2


class NetworkCache:
    """Makes the object of a config node as `build` does; the last used networks of each kind stay in memory.

    A file of weights that was replaced meanwhile is read anew.
    """

    def __init__(self) -> None:
        self._kept: dict[str, OrderedDict[str, Any]] = {}

    def __call__(self, node: DictConfig, **overrides: Any) -> Any:
        """The node's object, with other arguments where they are given."""
        target = str(node.get("_target_"))
        if not target.startswith(_NETWORKS):
            return build(node, **overrides)
        kept = self._kept.setdefault(target, OrderedDict())
        files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in weight_files(node)]
        key = json_text([keyed_values(node), overrides, files], default=str)
        if key not in kept:
            kept[key] = build(node, **overrides)
        kept.move_to_end(key)
        while len(kept) > _NETWORKS_OF_A_KIND:
            kept.popitem(last=False)
        return kept[key]
