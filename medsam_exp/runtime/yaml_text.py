"""YAML read by libyaml where PyYAML was built with it, a tenth of the time of its own parser."""

from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parsed_yaml(text: str) -> Any:
    """What a text says, as `yaml.safe_load` has it."""
    return yaml.load(text, _LOADER)


def is_deeper(text: str, most: float) -> bool:
    """Whether lists and tables lie deeper within each other; libyaml's loader would end the process over deep ones."""
    depth = 0
    for event in yaml.parse(
        text, _LOADER
    ):  # a little at a time, as reading a deep text on would take for ever
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > most:
            return True
    return False
