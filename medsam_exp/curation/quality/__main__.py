"""Look for what makes scores on a dataset untrustworthy: `medsam-exp data-check ROOT [options]`.

ROOT is a folder with SPLIT_images and SPLIT_masks, an original download of any depth, or a CSV file (or a folder of
such files) of image-caption pairs. Written are hygiene.html (a page with pictures of every finding), findings.csv and
.json, exclude.csv (images to leave out, for data.exclude) and groups.csv (what may not be on both sides of a split).
"""

import argparse
import os
import sys
from pathlib import Path

from rich import box
from rich.table import Table

from medsam_exp.curation.quality.examine import Examination, examine
from medsam_exp.curation.quality.finding import KINDS
from medsam_exp.curation.quality.layout import find_collection, without
from medsam_exp.curation.quality.lists import write_lists
from medsam_exp.curation.quality.overview import overview
from medsam_exp.curation.quality.page import write_page
from medsam_exp.curation.quality.store import FactStore
from medsam_exp.curation.quality.survey import Limits, survey
from medsam_exp.runtime.console import open_console
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.progress import stage_progress
from medsam_exp.types import UserError


@stops_when_asked(hint="")
def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks; return its exit code, with --strict 1 where there are errors."""
    given = _parser().parse_args(argv)
    folder = given.output or Path(given.outputs) / "hygiene" / given.root.resolve().stem
    try:
        examination = _examine(given)
        write_lists(examination, folder)
        write_page(
            examination,
            folder / "hygiene.html",
            command=f"medsam-exp data-check {given.root}",
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error}: free space, or choose other folders with --outputs and --output")
    _print(examination, folder)
    return 1 if given.strict and examination.of("error") else 0


def _examine(given: argparse.Namespace) -> Examination:
    found = find_collection(given.root, given.group, given.image_column, given.caption_column)
    collection = without(found, given.exclude)
    cache = Path(given.outputs) / "artifacts"
    digests = FileDigests(cache / "file_digests.json")
    store = FactStore(cache / "hygiene", digests, given.mask_values)
    limits = Limits(tiny_share=given.tiny / 100, aspect=given.aspect, same_mask=given.same_mask)
    with stage_progress("data check", len(collection.items)) as step:
        surveyed = survey(collection, store, limits, step)
    digests.save()
    return examine(surveyed, near=not given.quick)


def _print(examination: Examination, folder: Path) -> None:
    out, said = open_console(), overview(examination.survey)
    for part in said.splits:
        classes = ", ".join(f"{name} {count}" for name, count in sorted(part.classes.items()))
        line = f"{part.name or 'images':<8} {part.images} images, {part.masks} masks ({part.empty} empty)"
        out.print(f"{line}{'; ' + classes if classes else ''}", markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("severity")
    table.add_column("found", justify="right")
    table.add_column("what")
    table.add_column("first", overflow="fold")
    for kind, findings in examination.by_kind().items():
        first = findings[0].items[0] if findings[0].items else findings[0].message
        table.add_row(KINDS[kind].severity, str(len(findings)), KINDS[kind].title, first)
    if examination.findings:
        out.print(table)
    else:
        out.print("nothing found")
    out.print(f"page: {folder / 'hygiene.html'}", markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medsam-exp data-check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    outputs = os.environ.get("MEDSAM_OUTPUTS", "outputs")
    parser.add_argument("root", type=Path, help="the dataset")
    parser.add_argument("--output", type=Path, help="folder to write to (default OUTPUTS/hygiene/NAME)")
    parser.add_argument(
        "--outputs", default=outputs, help="where what was measured is remembered (default outputs)"
    )
    parser.add_argument(
        "--group",
        metavar="REGEX",
        help=r"patient in a file's name, e.g. '^(ID_\d+)_'; or index.csv has a column group",
    )
    parser.add_argument(
        "--exclude", metavar="FILE", help="without the images of this list, as data.exclude takes it"
    )
    parser.add_argument(
        "--mask-values", type=_values, metavar="1,2", help="foreground in masks of class labels"
    )
    parser.add_argument(
        "--tiny", type=float, default=0.02, metavar="PERCENT", help="masks below are tiny (default 0.02)"
    )
    parser.add_argument(
        "--aspect", type=float, default=3.0, help="longer over shorter side at most (default 3)"
    )
    parser.add_argument(
        "--same-mask",
        type=float,
        default=0.9,
        metavar="DICE",
        help="masks of one image contradict below (default 0.9)",
    )
    parser.add_argument("--quick", action="store_true", help="do not look for nearly the same images")
    parser.add_argument("--image-column", default="filename", help="of pairs (default filename)")
    parser.add_argument("--caption-column", default="Caption", help="of pairs (default Caption)")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where there are errors")
    return parser


def _values(given: str) -> tuple[int, ...]:
    try:
        return tuple(int(value) for value in given.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{given} is no list of whole numbers, such as 1,2") from error


if __name__ == "__main__":
    sys.exit(main())
