"""The catalogue and what is there of it, on the console and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from medsam_exp.cli.weights.catalogue import PublishedFile, Weights
from medsam_exp.cli.weights.local_cache import State
from medsam_exp.config.start_command import start_command
from medsam_exp.runtime.console import plain_table
from medsam_exp.runtime.json_text import json_text


def catalogue_table(entries: Sequence[Weights], states: Mapping[str, State]) -> Table:
    """One row a network: what it is, what it takes, whether it is there, what to type."""
    table = plain_table("name", "what", ">size", "licence", "here?", "options of a run")
    for each in entries:
        row = (each.name, each.title, each.download_size, each.licence, str(states[each.name]), each.use)
        table.add_row(*map(escape, row))
    return table


def details(weights: Weights) -> list[str]:
    """Everything that the catalogue says of a network, a line each."""
    lines = [
        f"{weights.name}: {weights.title}",
        f"  network   {weights.architecture}",
        f"  tensors   {weights.layout}",
        f"  licence   {weights.licence}",
        f"  page      {weights.page}",
        f"  use       {start_command()} {weights.use}",
    ]
    return lines + [f"  file      {_of_file(file)}" for file in weights.files]


def as_json(entries: Sequence[Weights], states: Mapping[str, State], folder: Path) -> str:
    """The same for scripts."""
    return json_text([_entry(each, states[each.name], folder) for each in entries], indent=1)


def _entry(each: Weights, here: State, folder: Path) -> dict[str, Any]:
    files = [
        {
            "path": str(folder / file.path),
            "address": file.address,
            "bytes": file.size,
            "about_bytes": file.about,
            "sha256": file.sha256,
        }
        for file in each.files
    ]
    return {**asdict(each), "state": here.kind, "note": here.note, "files": files}


def _of_file(file: PublishedFile) -> str:
    size = f"{file.size} bytes" if file.size is not None else f"about {decimal(file.bytes)}"
    return f"{file.path}, {size}, SHA-256 {file.sha256 or 'unknown'}\n            {file.address}"
