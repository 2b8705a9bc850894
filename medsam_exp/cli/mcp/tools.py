"""The tools of an assistant: `segment`, `evaluate` and `info`, on the files of one folder."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from csv import DictReader
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsam_exp.cli.interactive.groups import GROUPS
from medsam_exp.cli.interactive.limits import MEGABYTES, MEGAPIXELS, refuse_large, refuse_long
from medsam_exp.cli.mcp.protocol import Tool
from medsam_exp.data.decoding import PICTURE_SUFFIXES
from medsam_exp.data.volumes.file_volume import volume_suffix
from medsam_exp.runtime.digests import text_digest, write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.png_bytes import png_bytes
from medsam_exp.runtime.temporary_files import temporary_folder
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from medsam_exp.cli.interactive.session import Session
    from medsam_exp.data.volumes.scan import Scan

RESEARCH_USE = "Research use only; not a medical device."
_CHOICE = re.compile(r"\w[\w.-]*")
_BYTES = 1024**2
_MEGAPIXEL = 1e6
_TEXT = {"type": "string"}
_ONE_IMAGE = (
    "In the server's folder: one image (PNG, JPEG, TIFF, BMP, WebP, DICOM), one volume (NIfTI, MHA, NRRD), or a folder "
    "with one volume or DICOM series."
)
_SEGMENT = {
    "type": "object",
    "properties": {
        "path": {**_TEXT, "description": _ONE_IMAGE},
        "text": {**_TEXT, "description": "What to find, such as 'a dark irregular mass'."},
        "choices": {
            "type": "object",
            "properties": {group: {**_TEXT, "description": said} for group, said in GROUPS.items()},
            "additionalProperties": False,
            "description": "Choices of config groups, as the tool info lists them.",
        },
    },
    "required": ["path", "text"],
    "additionalProperties": False,
}
_EVALUATE = {
    "type": "object",
    "properties": {
        "predictions": {
            "type": "array",
            "items": _TEXT,
            "minItems": 1,
            "maxItems": 2,
            "description": "One folder of masks, or two to compare the second with the first.",
        },
        "truth": {**_TEXT, "description": "Folder of true masks, of the same names."},
        "tolerance": {"type": "number", "description": "Of NSD, in pixels; 2 by default."},
        "patient": {
            **_TEXT,
            "description": "Pattern of the patient in a file's name; its first group counts.",
        },
    },
    "required": ["predictions", "truth"],
    "additionalProperties": False,
}
_INFO = {
    "type": "object",
    "properties": {"groups": {"type": "array", "items": _TEXT, "description": "Such as clip; all without."}},
    "additionalProperties": False,
}


class Tools(AbstractContextManager["Tools"]):
    """What the tools may read and write; networks stay in memory between calls.

    Args:
        root: nothing outside is read.
        out: folder for masks.
        settings: of every segmentation, as a run takes them.
        megabytes: larger files are refused.
        megapixels: larger images are refused.
    """

    def __init__(
        self,
        root: Path,
        out: Path,
        settings: Sequence[str] = (),
        megabytes: float = MEGABYTES,
        megapixels: float = MEGAPIXELS,
    ) -> None:
        if not root.is_dir():
            raise UserError(f"{root} is not a folder: give the one whose images may be read")
        self._root, self._out, self._settings = root.resolve(), out.absolute(), tuple(settings)
        self._megabytes, self._megapixels = megabytes, megapixels
        self._session: Session | None = None
        self._kept = temporary_folder("medsam_exp_")

    def all(self) -> list[Tool]:
        """The tools, with what an assistant is told of them."""
        about = {
            "segment": f"Find what a text says in an image, or slice by slice in a volume. {RESEARCH_USE}",
            "evaluate": "Score folders of masks against true masks, with intervals and tests.",
            "info": "List config groups and choices, with needs, costs and licences.",
        }
        return [
            Tool("segment", about["segment"], _SEGMENT, self.segment),
            Tool("evaluate", about["evaluate"], _EVALUATE, self.evaluate),
            Tool("info", about["info"], _INFO, self.info),
        ]

    def segment(self, path: Any, text: Any, choices: Any = None) -> dict[str, Any]:
        """Segment one image or volume as `medsam-exp segment` does.

        Of a folder its one scan is segmented, as if its file had been given; a DICOM series as a whole.

        Returns:
            `mask` (a PNG of 0 and 255 at the image's size), `size`, `area_px`, `share`, `presence`, `iou_predictions`,
            `caution`, `command` and `research_use`; of a volume `mask` (NIfTI in the volume's geometry), `size`,
            `area_px`, `share`, `slices`, `slices_with_mask`, `table` (results.csv, a row for each slice), `caution`,
            `notes` and `research_use`.

        Raises:
            UserError: an argument is of another kind, the image cannot be read or is too large, a folder holds several
                scans, a choice cannot work.
        """
        from medsam_exp.cli.segment.inputs import is_one_image

        is_folder = self._inside(path).is_dir()
        image, chosen = self._folder(path) if is_folder else self._file(path), _checked_choices(choices)
        if not isinstance(text, str):
            raise UserError("text is no text: write what to find")
        refuse_long(text)
        if is_folder or volume_suffix(image) is not None:
            scan = _only_scan(image, path)
            files = set(scan.facts.files)
            image = files.pop() if len(files) == 1 else image
            if not is_one_image(scan):
                return self._segment_volume(image, scan, path, text, chosen)
        refuse_large(image, image.name, self._megapixels, "server")
        answer = self._opened().segment(image, text, chosen)
        mask, record = answer.mask, answer.record()
        place = self._out / "masks" / f"{image.stem}_{self._key(image, text, chosen)}.png"
        write_atomically(place, png_bytes(mask))
        return {
            "mask": str(place),
            "size": list(mask.shape),
            "area_px": record["area_px"],
            "share": float(mask.mean()),
            "presence": record["presence"],
            "iou_predictions": list(answer.shown_iou_predictions),
            "caution": answer.caution,
            "command": record["command"],
            "research_use": RESEARCH_USE,
        }

    def _segment_volume(
        self, place: Path, scan: "Scan", shown: str, text: str, choices: Mapping[str, str]
    ) -> dict[str, Any]:
        from medsam_exp.cli.segment.command import segment_images
        from medsam_exp.cli.segment.results import TABLE

        facts = scan.facts
        if (
            sum(self._inside(str(file)).stat().st_size for file in set(facts.files))
            > self._megabytes * _BYTES
        ):
            raise UserError(self._too_large(shown))
        if prod(facts.shape) > self._megapixels * _MEGAPIXEL:
            size = " x ".join(map(str, facts.shape))
            raise UserError(
                f"{shown} has {size} voxels, more than the {self._megapixels:g} million that are taken here: start the "
                "server with a larger --max-megapixels"
            )
        out = self._out / "volumes" / f"{place.name}_{self._key(place, text, choices)}"
        store = Path(self._kept.name)
        done = segment_images([place], [text], None, out, self._settings, choices, store=store)
        if done.inputs.faults:
            raise UserError(first_few(done.inputs.faults, separator="; "))
        with (out / TABLE).open(newline="", encoding="utf-8") as file:
            rows = list(DictReader(file))
        areas = [int(row["area_px"]) for row in rows]
        return {
            "mask": str(out / rows[0]["mask"]),
            "size": list(facts.shape),
            "area_px": sum(areas),
            "share": sum(areas) / prod(facts.shape),
            "slices": len(areas),
            "slices_with_mask": sum(map(bool, areas)),
            "table": str(out / TABLE),
            "caution": done.caution,
            "notes": list(done.inputs.notes),
            "research_use": RESEARCH_USE,
        }

    def evaluate(
        self, predictions: Any, truth: Any, tolerance: Any = 2.0, patient: Any = None
    ) -> dict[str, Any]:
        """Score masks as `medsam-exp evaluate` does.

        Returns:
            `summary`, `paired`, `notes` and `research_use`.

        Raises:
            UserError: an argument is of another kind, a folder or file is missing or too large, or sizes differ.
        """
        from medsam_exp.cli.evaluate.scores import evaluate_masks

        if not isinstance(predictions, list) or not predictions:
            raise UserError("predictions is no list of folders: give one, or two to compare")
        if not isinstance(tolerance, int | float) or isinstance(tolerance, bool):
            raise UserError("tolerance is no number: give pixels, such as 2")
        if not isinstance(patient, str | None):
            raise UserError("patient is no text: give a pattern, such as '^(p[0-9]+)_'")
        folders = [self._folder(place) for place in predictions]
        found = evaluate_masks(folders, self._folder(truth), tolerance=float(tolerance), patient=patient)
        return {key: found[key] for key in ("summary", "paired", "notes")} | {"research_use": RESEARCH_USE}

    def info(self, groups: Any = None) -> dict[str, Any]:
        """Say what can be chosen, as `medsam-exp info --json` does.

        Raises:
            UserError: there is no such group.
        """
        from medsam_exp.cli.info.choices import groups_info

        if not isinstance(groups, list | None) or not all(isinstance(group, str) for group in groups or ()):
            raise UserError("groups is no list of names, such as ['clip', 'sam']")
        return groups_info(groups or ())

    def __exit__(self, *_: object) -> None:
        """Delete what was kept on disk for the next call; masks stay."""
        if self._session is not None:
            self._session.close()
        self._kept.cleanup()

    def _opened(self) -> "Session":
        from medsam_exp.cli.interactive.session import Session

        self._session = self._session or Session(self._settings)
        return self._session

    def _inside(self, path: Any) -> Path:
        """A path that may be read; links count as what they lead to."""
        if not isinstance(path, str) or not path or "\0" in path:
            raise UserError("a path is no text: give that of a file or folder in the server's folder")
        place = (self._root / path).resolve()
        if not place.is_relative_to(self._root):
            raise UserError(f"{path} is not in {self._root}, and nothing else is read here")
        return place

    def _file(self, path: Any) -> Path:
        place = self._inside(path)
        if not place.is_file():
            raise UserError(f"{path} is no file in {self._root}: check the path")
        self._refuse_large_file(place)
        return place

    def _folder(self, path: Any) -> Path:
        place = self._inside(path)
        if not place.is_dir():
            raise UserError(f"{path} is no folder in {self._root}: check the path")
        for file in place.iterdir():
            self._refuse_large_file(self._inside(str(file)))
        return place

    def _refuse_large_file(self, file: Path) -> None:
        if file.is_file() and file.stat().st_size > self._megabytes * _BYTES:
            raise UserError(self._too_large(str(file)))

    def _too_large(self, shown: str) -> str:
        return (
            f"{shown} is larger than the {self._megabytes:g} MB that are taken here: start the server with a larger "
            "--max-mb"
        )

    def _key(self, image: Path, text: str, choices: Mapping[str, str]) -> str:
        """Another one for another image, text or choice."""
        return text_digest(str(image), text, json_text(dict(sorted(choices.items()))))[:12]


def _only_scan(place: Path, shown: str) -> "Scan":
    """The scan that a file is, or that a folder holds and nothing else that would be segmented."""
    from medsam_exp.data.volumes.find import find_scans

    found = find_scans(place, pictures=False, recursive=False)
    if found.faults or len(found.scans) != 1:
        why = first_few(found.faults, separator="; ") or f"it holds {len(found.scans)} volumes"
        raise UserError(f"{shown}: {why}; give one volume, or a folder with one DICOM series")
    files = sorted(place.iterdir()) if place.is_dir() else []
    pictures = [file.name for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    if pictures and len(set(found.scans[0].facts.files)) > 1:
        raise UserError(
            f"{shown} holds pictures beside its DICOM series ({first_few(pictures)}): move them out of it"
        )
    return found.scans[0]


def _checked_choices(choices: Any) -> dict[str, str]:
    if not isinstance(choices, dict | None):
        raise UserError("choices is no object, such as {'clip': 'biomedclip'}")
    for group, choice in (choices or {}).items():
        if group not in GROUPS:
            raise UserError(f"there is no choice of {group!r} for one image; there are {', '.join(GROUPS)}")
        if not isinstance(choice, str) or not _CHOICE.fullmatch(choice):
            raise UserError(f"choices.{group} is no name of a choice; the tool info lists them")
    return dict(choices or {})
