"""YAML read by libyaml where PyYAML was built with it, a tenth of the time of its own parser."""

from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parsed_yaml(text: str) -> Any:
    """What a text says, as `yaml.safe_load` has it."""
    return yaml.load(text, _LOADER)


def nesting(text: str) -> int:
    """How deep lists and tables lie within each other; libyaml's loader would end the process over a deep one."""
    depth = deepest = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest
