"""The one place where the package makes JSON: a number that is not finite becomes null, which JSON can say."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


def json_text(content: Any, **options: Any) -> str:
    """JSON of plain content; `NaN` and `Infinity`, which JSON does not know, are written as null.

    Args:
        content: mappings, lists, tuples, strings, numbers, booleans, None.
        options: of `json.dumps`, such as `indent`.
    """
    with suppress(TypeError, ValueError):  # mappings that are no dict, numbers that are not finite
        return json.dumps(content, allow_nan=False, **options)
    return json.dumps(_finite(content), allow_nan=False, **options)


def _finite(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
