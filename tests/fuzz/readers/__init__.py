"""Every way into the package for files of others, with the smallest valid input of each."""

from tests.fuzz.reader import Reader
from tests.fuzz.readers import (
    clips,
    command_lines,
    downloads,
    pictures,
    records,
    results_folders,
    scans,
    tables,
    weights,
)


def all_readers() -> tuple[Reader, ...]:
    """All of them, in the order of the table."""
    modules = (pictures, scans, tables, records, weights, clips, results_folders, downloads, command_lines)
    return tuple(reader for module in modules for reader in module.READERS)
