"""Options of a command line that take several words."""

import re
from typing import Any

from typer.core import TyperCommand

_OPTION = re.compile(r"-(?![\d.]).*")  # -600 is a number


class WordLists(TyperCommand):
    """Lets options that may be repeated take several words: `--rows A B` is `--rows A --rows B`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the command."""
        lists = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        words: list[str] = []
        current = ""
        for word in args:
            if _OPTION.fullmatch(word):
                current = word if word in lists else ""
            elif current and words[-1] != current:
                words.append(current)
            words.append(word)
        return super().parse_args(ctx, words)
