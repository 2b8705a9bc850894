"""Image-text pairs: MedPix 2.0 (Siragusa 2024), CT and MR images with their captions.

Reads Descriptions.json (or Description.json, or descriptions_*.jsonl of its splitted_dataset) with images/NAME.png, as
its repository publishes them; Case_topic.json adds the diagnosis. Layout checked against the published JSON files.

Writes medpix_dataset.csv with filename, Caption, case, modality, location and diagnosis. It is one table: the pipeline
divides it 85/15 as the paper does (pairs=medpix); pairs.train.group_column=case keeps the images of a case together.
Captions that are shorter than --smallest-caption after cleaning (paper: 20 characters) are left out.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedPair, is_long_enough, plain_name, write_pairs
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.data.decoding import IMAGE_SUFFIXES
from medsam_exp.runtime.foreign import parsed_json
from medsam_exp.types import UserError

_LICENCE = (
    "as the MedPix 2.0 repository states it; MedPix is the NLM's, cite Siragusa 2024 (arXiv 2407.02994)"
)
_TABLE = "medpix_dataset.csv"
_DESCRIPTIONS = r"(?:descriptions?\.json|descriptions_[^/]+\.jsonl)"
_CASES = r"case_topic\.json"


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("medpix_dataset")],
    smallest_caption: command.SmallestCaption = 20,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare MedPix 2.0."""
    with open_source(download) as source:
        entries = _entries(source)
        paths = {name: PurePosixPath(name) for name in source.names}
        files = {p.stem.lower(): name for name, p in paths.items() if p.suffix.lower() in IMAGE_SUFFIXES}
        cases = [record for name in source.matches(_CASES) for record in _records(source, name)]
        diagnoses = {str(case.get("U_id")): _field(case, "PreparedImage", "Title") for case in cases}
        pairs, without, short = [], [], 0
        for entry in entries:
            key, caption = str(entry.get("image") or ""), _field(entry, "Description", "Caption")
            image = files.get(PurePosixPath(key).name.lower())
            if not is_long_enough(caption, smallest_caption):
                short += 1
            elif image is None:
                without.append(key)
            else:
                pairs.append(_pair(entry, image, caption, diagnoses))
        if not pairs and without:
            raise source.missing(f"image of the {len(entries)} descriptions, such as images/{without[0]}.png")
        notes = []
        if short:
            few = f"captions of fewer than {smallest_caption} characters (--smallest-caption)"
            notes.append(f"{few}, left out: {short}")
        notes += [f"images that are not there: {len(without)} (first: {without[0]})"] if without else []
        facts = source.facts([*source.matches(_DESCRIPTIONS), *(pair.image for pair in pairs)])
        rule = "one table; the pipeline divides it 85/15 by hash"
        request = command.request_of(given, rule, _LICENCE, [facts])
        prepared = write_pairs(out, source, pairs, request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, f"pairs=medpix pairs.train.file={out / _TABLE}")


def _entries(source: Source) -> list[dict[str, Any]]:
    """Descriptions of all images; of several files that hold the same image, the first counts."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    names = list(source.matches(_DESCRIPTIONS))
    whole = [name for name in names if name.lower().endswith(".json")]
    if not names:
        raise source.missing("Descriptions.json")
    for name in whole or names:
        for entry in _records(source, name):
            found.setdefault((str(entry.get("image")), _field(entry, "Description", "Caption")), entry)
    return [found[key] for key in sorted(found)]


def _records(source: Source, name: str) -> list[dict[str, Any]]:
    text = source.text(name)
    try:
        lines = text.splitlines() if name.lower().endswith(".jsonl") else [text]
        parsed = [
            parsed_json(line, f"{source.shown}: {name}", "download it again")
            for line in lines
            if line.strip()
        ]
    except ValueError as error:
        raise UserError(f"{source.shown}: {name} is no JSON ({error}): download it again") from error
    records = [record for part in parsed for record in (part if isinstance(part, list) else [part])]
    if not all(isinstance(record, dict) for record in records):
        raise UserError(f"{source.shown}: {name} is no list of descriptions: download it again")
    return records


def _pair(entry: Mapping[str, Any], image: str, caption: str, diagnoses: Mapping[str, str]) -> PreparedPair:
    path, case = PurePosixPath(image), str(entry.get("U_id") or "")
    more = {
        "case": case,
        "modality": _field(entry, "Description", "Modality") or str(entry.get("Type") or ""),
        "location": str(entry.get("Location") or entry.get("location") or ""),
        "diagnosis": diagnoses.get(case, ""),
    }
    return PreparedPair(_TABLE, image, f"{plain_name(path.stem)}{path.suffix.lower()}", caption, more)


def _field(record: Mapping[str, Any], part: str, name: str) -> str:
    inner = record.get(part)
    return str(inner.get(name) or "") if isinstance(inner, dict) else ""
