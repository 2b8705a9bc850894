"""What the networks behind each mask had seen in training."""

from collections.abc import Mapping
from typing import Any

from medsam_exp.report.section import Part, Row, Section, Table
from medsam_exp.stages.pipeline import mask_stages, stage_colour, stage_place, stage_title

_HINT = (
    "Zero-shot: no network behind the mask learnt from masks of medical images, or from this dataset. Settings chosen "
    "with masks are no training: “Ground truth was read by” names them."
)


def supervision_section(summary: Mapping[str, Any]) -> Section | None:
    """The mark of each mask with the facts behind it; None for a run that does not say it."""
    found = of_masks(summary)
    if not found:
        return None
    rows = [
        Row(
            stage_title(label),
            [said["mark"], _sentence([*said["because"], *said["besides"]])],
            colour=stage_colour(label),
        )
        for label, said in found.items()
    ]
    table = Table("Supervision", "Mask", ["Supervision", "Because"], rows, words=2)
    return Section("supervision", "Supervision", [Part(table=table, hints=[_HINT], console=_lines(found))])


def final_mark(summary: Mapping[str, Any]) -> str:
    """Of the last mask, with its name; "" for a run that does not say it."""
    label, said = next(reversed(of_masks(summary).items()), ("", {}))
    return f"{stage_title(label)}: {said['mark']}" if said else ""


def marks(summary: Mapping[str, Any]) -> dict[str, str]:
    """Every mark of a run by "supervision/LABEL"."""
    return {f"supervision/{label}": said["mark"] for label, said in summary.get("supervision", {}).items()}


def of_masks(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a summary says of each mask, in the order of the pipeline; of the map, where a run makes no masks."""
    found = summary.get("supervision", {})
    masks = sorted(found.keys() & set(mask_stages().values()), key=stage_place)
    return {label: found[label] for label in masks or found}


def _lines(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """One line for each mark: the masks that have it, and the facts that decide it."""
    lines = []
    for mark in dict.fromkeys(said["mark"] for said in found.values()):
        own = {label: said for label, said in found.items() if said["mark"] == mark}
        facts = dict.fromkeys(fact for said in own.values() for fact in said["because"])
        lines.append(("seen", f"{', '.join(own)}: {mark} ({_sentence(list(facts))})"))
    return lines


def _sentence(facts: list[str]) -> str:
    return "; ".join(facts)
