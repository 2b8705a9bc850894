"""The console that commands print tables on."""

from rich.console import Console

_WIDTH_OF_A_FILE = 160  # letters, when the output is no terminal


def open_console() -> Console:
    """The terminal, or a file with room for a table."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = max(found.width, _WIDTH_OF_A_FILE)
    return found
