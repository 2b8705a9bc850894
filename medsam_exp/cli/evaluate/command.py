"""The options of `medsam-exp evaluate`; what works is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    predictions: Annotated[
        list[Path],
        typer.Option(
            "--predictions", "-p", metavar="FOLDER", help="Of masks; a second one is compared with the first."
        ),
    ],
    truth: Annotated[
        Path, typer.Option("--truth", "-t", metavar="FOLDER", help="Of true masks, of the same names.")
    ],
    tolerance: Annotated[float, typer.Option(help="Of NSD, in pixels.")] = 2.0,
    patient: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Patient in a file's name; the first group counts.")
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Patient of each file: columns name,patient.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="CSV", help="Also write each image's scores.")] = None,
) -> None:
    """Score masks, pictures or volumes, against true ones.

    Volumes are scored slice by slice, without slices that are empty in both; a volume's slices count as one patient's.
    With two folders of predictions, tests and intervals are of their paired differences, by patient where one has
    several images.
    """
    from medsam_exp.cli.evaluate.scores import evaluate_masks, print_evaluation, write_scores
    from medsam_exp.runtime.console import open_console

    found = evaluate_masks(predictions, truth, tolerance=tolerance, patient=patient, patients=patients)
    print_evaluation(found, open_console())
    if out is not None:
        write_scores(found, out)
