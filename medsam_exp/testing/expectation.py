"""What the checks share: a method from an object or a configuration, and one sentence for what it breaks."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import build


def expect(condition: object, sentence: str) -> None:
    """Require something of a method, also where Python strips `assert` statements.

    Args:
        condition: what must be true.
        sentence: what is wrong otherwise.

    Raises:
        AssertionError: with the sentence.
    """
    if not condition:
        raise AssertionError(sentence)


def expect_error(kind: type[Exception], pattern: str, call: Callable[[], object], sentence: str) -> None:
    """Require that a call is refused.

    Args:
        kind: of the exception.
        pattern: regular expression that its message must match somewhere.
        call: what must be refused.
        sentence: what is wrong otherwise.

    Raises:
        AssertionError: nothing was raised, or another message.
    """
    try:
        call()
    except kind as error:
        expect(re.search(pattern, str(error)), f"{sentence}; its message does not match {pattern!r}: {error}")
        return
    raise AssertionError(sentence)


def built(method: Any) -> Any:
    """The object itself, or the one that a configuration node with `_target_` describes.

    Args:
        method: an object, a mapping or a node of a composed configuration.
    """
    if isinstance(method, DictConfig):
        return build(method)
    if isinstance(method, Mapping) and "_target_" in method:
        return build(OmegaConf.create(dict(method)))
    return method


def name_of(method: object) -> str:
    """How sentences call a method: its class, or its own name where it is a function."""
    return getattr(method, "__name__", None) or type(method).__name__
