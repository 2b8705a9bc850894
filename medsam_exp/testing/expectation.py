"""What the checks share: a method from an object or a configuration, and one sentence for what it breaks."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import build

_Options = ParamSpec("_Options")


def contract(
    check: Callable[Concatenate[Any, _Options], None],
) -> Callable[Concatenate[Any, _Options], None]:
    """Let a check take an object or a configuration node, and begin its sentences with the method's name."""

    @wraps(check)
    def checked(method: Any, /, *args: _Options.args, **options: _Options.kwargs) -> None:
        method = built(method)
        with about(getattr(method, "__name__", None) or type(method).__name__):
            check(method, *args, **options)

    return checked


@contextmanager
def about(case: str) -> Iterator[None]:
    """Begin the sentence of what is broken inside the block with the case at hand."""
    try:
        yield
    except AssertionError as error:
        error.args = (f"{case}: {error}",)
        raise


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


def expect_error(
    kind: type[Exception], pattern: str, sentence: str, call: Callable[..., object], *args: object
) -> None:
    """Require that a call is refused.

    Args:
        kind: of the exception.
        pattern: regular expression that its message must match somewhere.
        sentence: what is wrong otherwise.
        call: what must refuse the arguments.
        args: of the call.

    Raises:
        AssertionError: nothing was raised, or another message.
    """
    try:
        call(*args)
    except kind as error:
        expect(re.search(pattern, str(error)), f"{sentence}; its message does not match {pattern!r}: {error}")
        return
    raise AssertionError(sentence)


def built(method: Any) -> Any:
    """The object itself, or the one that a mapping or a configuration node with `_target_` describes."""
    if isinstance(method, Mapping) and not isinstance(method, DictConfig) and "_target_" in method:
        method = OmegaConf.create(dict(method))
    return build(method) if isinstance(method, DictConfig) else method
