"""A network's weights within what a trainer stored: under which key, and behind which prefix."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

log = logging.getLogger(__name__)

_TABLES = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
"""Where trainers keep the weights, among optimizer and epoch (`module`: DeepSpeed's)."""
_AVERAGES = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")
"""Where some keep a running average of them; taken where nothing else is there."""
_WRAPPER = re.compile(r"(?:(?:module|model|network|net|clip|clip_model|sam|base_model)\.)+")
"""What DistributedDataParallel, adapters and modules around a network put before every name."""
_COMPILED = "_orig_mod."
"""What torch.compile puts before the names of what it compiled."""
_SHOWN = 3


def table_in(content: Any, named: str, levels: int = 3) -> dict[str, Tensor] | None:
    """The tensors by name in what a file held; numbers and the like beside them are left. None: there are none.

    Args:
        content: as read.
        named: what sentences call the file.
        levels: of tables within tables that are looked through.
    """
    if not isinstance(content, Mapping) or not levels:
        return None
    keys = [key for key in (*_TABLES, *_AVERAGES) if isinstance(content.get(key), Mapping)]
    for key in keys:
        if (table := table_in(content[key], named, levels - 1)) is not None:
            others = [other for other in keys if other != key]
            if others or key in _AVERAGES:
                left = f", left those under {_listed(others)}" if others else ", a running average"
                log.info("%s: took the weights under %r%s", named, key, left)
            return table
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return tensors or None


def network_in(table: Mapping[str, Tensor], named: str) -> dict[str, Tensor]:
    """The weights behind the prefix that most names share, without it; a loss's beside them are left.

    Where most names have no prefix all are kept, so that whatever is no part of the network is refused by name.

    Args:
        table: tensors by name.
        named: what sentences call the file.
    """
    names = {name.replace(_COMPILED, ""): value for name, value in table.items()}
    counts = Counter(map(_prefix, names))
    taken = max(counts, key=lambda prefix: (counts[prefix], bool(prefix)))
    network = {name.removeprefix(taken): value for name, value in names.items() if name.startswith(taken)}
    if left := [name for name in names if not name.startswith(taken)]:
        log.info("%s: took the %d weights behind %r, left %s", named, len(network), taken, _listed(left))
    return network


def _prefix(name: str) -> str:
    match = _WRAPPER.match(name)
    return match[0] if match else ""


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{', '.join(listed[:_SHOWN])}{more}"
