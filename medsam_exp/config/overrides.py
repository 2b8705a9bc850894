"""What is typed on the command line, KEY=VALUE, so that a text or a path arrives as it was typed.

Hydra has a grammar of its own: without further quotes a comma asks for a sweep, `5`, `true` and `[left]` are no texts,
and `(`, `=`, an apostrophe or a letter such as `ä` end in an error. Where a key takes nothing but a text, what is
meant is plain, and the quotes are put here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString
from hydra.errors import HydraException

from medsam_exp.config.shells import in_every_shell
from medsam_exp.types import UserError

FREE_TEXTS = frozenset({"text.text", "name"})
"""Keys whose value is always a text, `null` and `true` too."""
_TEXT_KEYS = {
    "calibration_data": "root",
    "clip": "model weights",
    "data": (
        "class_column class_name class_pattern index modality name name_column path patient_column "
        "patient_pattern remembered_in root sentences split split_column target"
    ),
    "ensemble": "checkpoints precision results",
    "hydra": "dir subdir",
    "logger": "entity group project",
    "nnunet": "planner",
    "pairs": "caption_column file group_column image_column root separator",
    "paths": "artifacts data outputs proxy tuned weights",
    "presence": "file model",
    "retrieval": "part",
    "saliency": "architecture checkpoint model",
    "sam": "architecture checkpoint",
    "text": "language name_column path sentences target text_column",
    "text_segmenter": "key model",
    "train_data": "root",
    "weak_label": "root second",
}
TEXTS = frozenset(f"{group}.{key}" for group, keys in _TEXT_KEYS.items() for key in keys.split())
"""Keys (first and last part) that take a text or a path, or `null`."""
_OTHER_KINDS = frozenset({"data.exclude", "data.spacing_mm"})
"""Keys that take a path or something else, so that only what is nothing else is a path."""
_OVERRIDE = re.compile(r"(?P<key>\+{0,2}[\w/.@]+)=(?P<value>.*)", re.DOTALL)
_SWEEPS = re.compile(r"-m|--multirun|\+{1,2}sweep=.*|\+{0,2}hydra\.mode=MULTIRUN", re.DOTALL)
_PLAIN_TEXT = re.compile(r"[A-Za-z/]([A-Za-z0-9 ._/:%+-]*[A-Za-z0-9._/%+-])?")
_WORDS_WITH_A_MEANING = {"null", "true", "false", "nan", "inf"}


def quoted(typed: Sequence[str]) -> list[str]:
    """The command line with quotes for Hydra around texts and paths that need them; in a sweep commas still divide.

    Args:
        typed: words of the command line, of which options stay as they are.

    Raises:
        UserError: a value has no meaning for Hydra, and its key takes more than texts; says how to type it.
    """
    sweeps = any(_SWEEPS.fullmatch(word) for word in typed)
    return [word if word.startswith("-") else _quoted(word, sweeps=sweeps) for word in typed]


def divided_text(line: str) -> str:
    """What to know of a text that a sweep divides at a comma with a blank after it; empty for all other options.

    Args:
        line: KEY=VALUE, as a sweep took it.
    """
    found = _OVERRIDE.fullmatch(line)
    if (
        found is None
        or _plain(found["key"]) not in FREE_TEXTS | TEXTS
        or not re.search(r",\s", found["value"])
    ):
        return ""
    override = OverridesParser.create().parse_override(line)
    meant = override.value()
    if not isinstance(meant, ChoiceSweep):
        return ""
    values = " | ".join(str(getattr(text, "text", text)) for text in meant.list)
    one = in_every_shell(f"{found['key']}={hydra_value(found['value'])}")
    return f"{found['key']} is divided at its commas: {values}; as one text it is typed {one}"


def hydra_value(value: Any) -> str:
    """A value as Hydra's command line takes it, whatever characters it has."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{hydra_value(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    if not isinstance(value, str):
        is_short = isinstance(value, float) and float(f"{value:g}") == value
        return f"{value:g}" if is_short else str(value)
    if _PLAIN_TEXT.fullmatch(value) and value.lower() not in _WORDS_WITH_A_MEANING:
        return value
    literal = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", value)  # OmegaConf would look it up
    return QuotedString(literal, Quote.single).with_quotes()


def _quoted(word: str, *, sweeps: bool) -> str:
    found = _OVERRIDE.fullmatch(word)
    if found is None:
        return word
    key, value = found["key"], found["value"]
    plain = _plain(key)
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        if plain in FREE_TEXTS | TEXTS | _OTHER_KINDS and not (sweeps and "," in value):
            return f"{key}={hydra_value(value)}"
        raise _unreadable(key, value, sweeps=sweeps) from error
    meant = override.value()
    if override.is_sweep_override():
        is_text = sweeps or plain not in FREE_TEXTS | TEXTS
    else:
        is_text = isinstance(meant, str | QuotedString) or plain not in FREE_TEXTS | TEXTS
        is_text |= meant is None and plain in TEXTS
    return word if is_text else f"{key}={hydra_value(value)}"


def _plain(key: str) -> str:
    """First and last part of a key, as in `TEXTS`."""
    parts = key.lstrip("+").split(".")
    return f"{parts[0]}.{parts[-1]}" if len(parts) > 1 else parts[0]


def _unreadable(key: str, value: str, *, sweeps: bool) -> UserError:
    one = in_every_shell(f"{key}={hydra_value(value)}")
    if sweeps and "," in value:
        several = in_every_shell(f"{key}={','.join(hydra_value(part.strip()) for part in value.split(','))}")
        return UserError(
            f"{key}={value} has signs that need quotes within the shell's: {one} for one value, {several} for a sweep"
        )
    return UserError(
        f"{key}={value} cannot be read: close its quotes and brackets, or if it is a text, type it with quotes within "
        f"the shell's: {one}"
    )
