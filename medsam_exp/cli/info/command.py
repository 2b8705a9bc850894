"""The options of `medsam-exp info` and its tables; what works is imported when it is called."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

_SENTENCE = re.compile(r"(?<=[a-z0-9)])[.;] (?=\S)")


def info(
    groups: Annotated[
        list[str] | None, typer.Argument(metavar="GROUP", help="Such as clip; all without one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what can be chosen, and what it needs and costs.

    Reads the configuration's files alone. Seconds are of one thread of a processor: of one image with the published
    network at full size, or, for saliency methods, with the embedded networks.
    """
    from rich.markup import escape

    from medsam_exp.cli.info.choices import groups_info
    from medsam_exp.runtime.console import open_console, plain_table
    from medsam_exp.runtime.json_text import json_text

    found = groups_info(groups or ())
    if as_json:
        print(json_text(found, indent=1))
        return
    console = open_console()
    for group in found["groups"]:
        usual = f" ({group['default']} without a word)" if group["default"] else ""
        table = plain_table(group["group"], "what", "needs", ">s an image", "licence of the weights")
        for choice in group["choices"]:
            cells = (choice["name"], _first(choice["about"]), _needs(choice["needs"]))
            table.add_row(*map(escape, (*cells, _seconds(choice["cost"]), choice["licence"] or "")))
        console.print(f"{group['group']}: {group['about']}{usual}", markup=False)
        console.print(table)
    console.print(f"weights: {found['weights_folder']}; medsam-exp weights get NAME fetches", markup=False)


def _first(about: str) -> str:
    """The first part of a comment, which says what the choice is."""
    return _SENTENCE.split(about, maxsplit=1)[0].rstrip(".")


def _needs(needs: Mapping[str, Any]) -> str:
    said = [f"weights {each['name']} ({each['state']})" for each in needs["weights"]]
    said += [f"package {each['name']}{'' if each['here'] else ' (not here)'}" for each in needs["packages"]]
    return ", ".join([*said, *(f"{key}=..." for key in needs["settings"])])


def _seconds(cost: Mapping[str, float]) -> str:
    value = cost.get("full_size_image_s", cost.get("embedded_image_s"))
    return "" if value is None else f"{value:g}"
