"""Committed measurements of what single choices cost; each table beside this file is the only place of its figures."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FULL_SIZE = Path(__file__).with_name("full_size.csv")
"""CLIPs and text-prompted segmenters at full size, as tests/clip and tests/text_segmenter measure them."""
SAM_FULL_SIZE = Path(__file__).with_name("sam_full_size.csv")
"""Segmenters at full size, as tests/sam measures them."""
SALIENCY = Path(__file__).with_name("saliency_cost.csv")
"""Saliency methods with the embedded networks, as experiments/leaderboard measures them."""


@cache
def full_size_costs() -> Mapping[tuple[str, str], Mapping[str, str]]:
    """(group, choice) -> `parameters_m`, processor seconds `image_s`, `text_s`, `box_s` ("": none), and `peak_gb`."""
    with FULL_SIZE.open(encoding="utf-8") as file:
        found = {(row["group"], row["choice"]): row | {"box_s": ""} for row in csv.DictReader(file)}
    with SAM_FULL_SIZE.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found["sam", row["sam"]] = row | {"image_s": row["encode_s"], "text_s": ""}
    return found


@cache
def saliency_costs() -> Mapping[str, float]:
    """Saliency method -> processor seconds an image with the embedded networks."""
    with SALIENCY.open(encoding="utf-8") as file:
        return {row["saliency"]: float(row["processor_seconds_an_image"]) for row in csv.DictReader(file)}


def cost_of(group: str, name: str) -> dict[str, float]:
    """What is measured of a choice, by what it is; empty where nothing is.

    Keys are `parameters_m` (millions), `full_size_image_s`, `full_size_text_s`, `full_size_box_s` (processor seconds),
    `full_size_peak_gb` and `embedded_image_s` (processor seconds with the embedded networks).
    """
    found: dict[str, float] = {}
    if row := full_size_costs().get((group, name)):
        found = {
            key if key == "parameters_m" else f"full_size_{key}": float(row[key])
            for key in ("parameters_m", "image_s", "text_s", "box_s", "peak_gb")
            if row[key]
        }
    if group == "saliency" and name in saliency_costs():
        found["embedded_image_s"] = saliency_costs()[name]
    return found
