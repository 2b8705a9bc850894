"""Words of a command line as they are typed in a shell."""

import re
import shlex

_UNSAFE_IN_DOUBLE_QUOTES = set('"$`\\!')
_QUOTES_OF_POWERSHELL = "'\u2018\u2019\u201a\u201b"
"""Each of these ends a text in single quotes there, and stands in it when it is doubled."""
_DOUBLE_QUOTES_OF_POWERSHELL = set("\u201c\u201d\u201e")


def for_shell(part: str) -> str:
    """Quoted for bash, zsh and fish where these would change it, in double quotes where all signs stay as they are."""
    if shlex.quote(part) == part:
        return part
    key, sign, value = part.partition("=")
    if not sign or shlex.quote(key) != key or _UNSAFE_IN_DOUBLE_QUOTES & set(value):
        return shlex.quote(part)
    return f'{key}="{value}"'


def for_powershell(part: str) -> str:
    """The same for PowerShell 7.3 and later; older ones also want a backslash before each double quote."""
    typed = for_shell(part)
    if not typed.startswith("'") and not _DOUBLE_QUOTES_OF_POWERSHELL & set(part):
        return typed
    return "'" + re.sub(f"([{_QUOTES_OF_POWERSHELL}])", r"\1\1", part) + "'"


def in_every_shell(*parts: str) -> str:
    """How to type words: once where all shells take the same, else for PowerShell apart."""
    usual, other = " ".join(map(for_shell, parts)), " ".join(map(for_powershell, parts))
    return usual if usual == other else f"{usual} (in PowerShell {other})"
