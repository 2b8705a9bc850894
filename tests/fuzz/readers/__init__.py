"""Every way into the package for files of others, with the smallest valid input of each."""

from tests.fuzz.reader import Reader
from tests.fuzz.readers import (
    clips,
    command_lines,
    downloads,
    pictures,
    records,
    requests,
    results_folders,
    scans,
    segmenters,
    tables,
    weights,
)


def all_readers() -> tuple[Reader, ...]:
    """All of them, in the order of the table."""
    files = (pictures, scans, tables, records, weights, clips, segmenters, results_folders, downloads)
    modules = (*files, command_lines, requests)
    return tuple(reader for module in modules for reader in module.READERS)
