"""What `medsam-exp data-check` does: look for what makes scores on a dataset untrustworthy."""

from pathlib import Path

from rich.markup import escape

from medsam_exp.curation.quality.checks import Examination, examine
from medsam_exp.curation.quality.duplicates import find_duplicates
from medsam_exp.curation.quality.facts import Limits
from medsam_exp.curation.quality.finding import KINDS
from medsam_exp.curation.quality.layout import find_collection, without
from medsam_exp.curation.quality.lists import overview, write_lists
from medsam_exp.curation.quality.measure import FactStore, measure_dataset
from medsam_exp.curation.quality.page import write_page
from medsam_exp.runtime.console import open_console, plain_table, stage_progress
from medsam_exp.runtime.digests import FileDigests


def check_dataset(
    root: Path,
    folder: Path,
    cache: Path,
    limits: Limits,
    *,
    group: str | None = None,
    exclude: str | None = None,
    mask_values: tuple[int, ...] | None = None,
    near_duplicates: bool = True,
    columns: tuple[str, str] = ("filename", "Caption"),
) -> Examination:
    """Examine a dataset and write page and lists.

    Args:
        root: the dataset.
        folder: where to write data_quality.html, findings.csv and .json, exclude.csv and groups.csv.
        cache: folder where measurements and digests are remembered.
        limits: what counts as a finding.
        group: regular expression that finds the patient in a file's name.
        exclude: list of images to leave out, as data.exclude takes it.
        mask_values: foreground in masks of class labels.
        near_duplicates: whether to look for near-duplicates.
        columns: of images and of captions, in tables of pairs.

    Raises:
        UserError: the dataset or an option cannot work.
        OSError: a file cannot be written.
    """
    listing = without(find_collection(root, group, *columns), exclude)
    digests = FileDigests(cache / "file_digests.json")
    store = FactStore(cache / "data_quality", digests, mask_values)
    with stage_progress("data check", len(listing.items)) as step:
        dataset = measure_dataset(listing, store, limits, step)
    digests.save()
    examination = examine(dataset, find_duplicates(dataset.images, near=near_duplicates))
    write_lists(examination, folder)
    write_page(examination, folder / "data_quality.html", command=f"medsam-exp data-check {root}")
    return examination


def print_examination(examination: Examination, folder: Path) -> None:
    """Print the number of images, masks and findings of each kind."""
    out, said = open_console(), overview(examination.dataset)
    for part in said["splits"]:
        classes = ", ".join(f"{name} {count}" for name, count in sorted(part["classes"].items()))
        line = f"{part['name'] or 'images':<8} {part['images']} images, {part['masks']} masks ({part['empty']} empty)"
        out.print(f"{line}{'; ' + classes if classes else ''}", markup=False)
    table = plain_table("severity", ">found", "what", "first")
    for kind, findings in examination.by_kind().items():
        cells = (KINDS[kind].severity, str(len(findings)), KINDS[kind].title, findings[0].example)
        table.add_row(*map(escape, cells))
    out.print(table if examination.findings else "nothing found")
    out.print(f"page: {folder / 'data_quality.html'}", markup=False, soft_wrap=True)
