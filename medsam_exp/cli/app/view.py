"""An answer as the message that the viewer in the browser shows (`viewer.js`)."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from medsam_exp.cli.app.images import data_address
from medsam_exp.cli.interactive.correction import as_given
from medsam_exp.cli.interactive.result import Answer, Draft
from medsam_exp.metrics.overlap import dice
from medsam_exp.report.web.drawings import outline
from medsam_exp.runtime.json_text import json_text
from medsam_exp.sam.families import FAMILIES
from medsam_exp.types import RGBImage, SaliencyMap

_IMAGE_SIDE, _MAP_SIDE = 1600, 512
"""Pixels of the longer side in the browser at most; masks, clicks and boxes are in the file's own pixels always."""
_STEPS = {
    "preparation": "preparing",
    "saliency": "saliency",
    "presence": "presence",
    "coarse_mask": "coarse mask",
    "sam_embedding": "SAM image embedding",
    "sam_mask": "SAM's mask",
    "text_mask": "rival's mask",
    "correction": "SAM's mask",
    "threshold": "coarse mask and SAM's mask",
}
_serial = itertools.count(1)


def image_message(image: RGBImage, name: str, window: Mapping[str, float] | None = None) -> str:
    """The message for an image about which nothing was asked yet.

    Args:
        image: (H, W, 3) uint8.
        name: of its file.
        window: of a DICOM image: its center and width, and the range of values; None where there is none.
    """
    return json_text(_unanswered(image, name) | {"window": window})


def draft_message(draft: Draft, name: str) -> str:
    """The message for the draft of a map, before there is a mask."""
    said = f"draft ({draft.method}): a first map; the mask comes with the chosen saliency."
    asked = {"text": draft.text, "saliency": _map(draft.saliency_map), "said": said}
    return json_text(_unanswered(draft.image, name) | asked)


def _unanswered(image: RGBImage, name: str) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {
        "serial": next(_serial),
        **_picture(image, name),
        "width": width,
        "height": height,
        "saliency": None,
        "caution": "",
        "answered": False,
        "mask": "",
        "coarse": "",
        "rival": "",
        "boxes": [],
        "points": [],
        "facts": [],
        "takes_points": True,
        "threshold": None,
    }


def answer_message(answer: Answer, name: str, *, note: str, whole: bool, remark: str = "") -> str:
    """The message for an answer.

    Args:
        answer: of the pipeline, or corrected.
        name: of the image file, for people.
        note: what to know before pasting the command.
        remark: what else to say of it, a sentence.
        whole: send the image and its map too; else the browser keeps those it has.
    """
    height, width = answer.mask.shape
    prompts = as_given(answer.prompts)
    message: dict[str, Any] = {
        "serial": next(_serial),
        "width": width,
        "height": height,
        "answered": True,
        "text": answer.question.text,
        "coarse": outline(answer.coarse_mask),
        "rival": "" if answer.rival is None else outline(answer.rival.mask),
        "mask": outline(answer.mask),
        "boxes": [prompt["box"] for prompt in prompts if "box" in prompt],
        "points": [point for prompt in prompts for point in prompt.get("points", [])],
        "mask_png": data_address(Image.fromarray(answer.mask.astype(np.uint8) * 255), "png"),
        "name": answer.image_id,
        "threshold": _threshold(answer),
        "takes_points": FAMILIES[answer.cfg.sam.architecture].framing.takes_points,
        "corrected": answer.question.prompts is not None,
        "facts": _facts(answer),
        "command": answer.question.command(name),
        "command_note": note,
        "caution": answer.caution,
        "said": f"{_said(answer)} {remark}".strip(),
    }
    if whole:
        message |= _picture(answer.image, name) | {"saliency": _map(answer.saliency_map)}
    return json_text(message)


def _map(saliency_map: SaliencyMap) -> str:
    return data_address(Image.fromarray(np.rint(saliency_map * 255).astype(np.uint8)), "png", _MAP_SIDE)


def _picture(image: RGBImage, name: str) -> dict[str, str]:
    return {"image": data_address(Image.fromarray(image), "png", _IMAGE_SIDE), "alt": f"Image {name}"}


def _threshold(answer: Answer) -> float:
    """Where the map was cut, as near as one value can say it."""
    settings: Mapping[str, Any] = dict(part.split("=", 1) for part in answer.question.settings if "=" in part)
    if answer.question.choices.get("postprocess") == "threshold":
        return float(settings.get("postprocess.value", answer.cfg.postprocess.get("value", 0.5)))
    inside = answer.saliency_map[answer.coarse_mask]
    return round(float(inside.min()), 2) if inside.size else 1.0


def _facts(answer: Answer) -> list[list[str]]:
    """Name, value and remark of what a reader wants to know."""
    kind = f"calibrated on {answer.calibrated_on}" if answer.calibrated_on else "a ranking, no probability"
    sure = ", ".join(f"{min(value, 1.0):.2f}" for value in answer.shown_iou_predictions)
    why_not = "not valid on real images" if answer.caution else "there is no mask"
    kind = "calibrated on synthetic scans: not valid here" if answer.caution else kind
    pixels = int(answer.mask.sum())
    computed = {name: taken for name, taken in answer.seconds.items() if name not in answer.reused}
    steps = ", ".join(f"{_STEPS[name]} {taken:.2f}" for name, taken in computed.items() if taken >= 0.005)
    return [
        ["Presence score", f"{answer.presence:.2f}", "mask emptied by the veto" if answer.vetoed else kind],
        ["SAM expects an IoU of", sure or "–", "its own estimate, for each prompt" if sure else why_not],
        ["Mask", f"{pixels:,} px", f"{100 * answer.mask.mean():.1f} % of the image"],
        *_fact_of_rival(answer),
        ["Time", f"{sum(answer.seconds.values()):.2f} s", steps],
    ]


def _fact_of_rival(answer: Answer) -> list[list[str]]:
    if answer.rival is None:
        return []
    kept, ours = answer.rival, answer.mask
    agree = (
        f"DSC {dice(kept.mask, ours):.2f} with the mask"
        if kept.mask.any() or ours.any()
        else "both are empty"
    )
    return [
        ["Rival's mask", f"{int(kept.mask.sum()):,} px", f"{agree}; its own presence {kept.presence:.2f}"]
    ]


def _said(answer: Answer) -> str:
    if "threshold" in answer.seconds:
        return f"The map is cut at {_threshold(answer):.2f}; Segment goes back to the chosen post-processing."
    if answer.vetoed:
        return "The presence score is below the veto's threshold, so the mask is empty."
    if not answer.coarse_mask.any() and not answer.mask.any():
        return "Nothing stands out for this text; lower the threshold, or click on what you look for."
    return "" if answer.mask.any() else "SAM found nothing here: click on what you look for, or draw a box."
