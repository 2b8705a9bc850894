"""The command `medsam-exp`: one typed function for each thing that can be done.

The functions import what they need when they are called, so that `medsam-exp --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

import medsam_exp
from medsam_exp.cli.evaluate.command import evaluate
from medsam_exp.cli.info.command import info
from medsam_exp.cli.interactive.groups import GROUPS
from medsam_exp.cli.interactive.limits import MEGABYTES, MEGAPIXELS
from medsam_exp.cli.mcp.command import mcp
from medsam_exp.cli.weights.commands import app as weights_app
from medsam_exp.curation.prepare.preparers import app as preparers_app
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.disk_faults import disk_fault
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.word_lists import WordLists
from medsam_exp.runtime.wording import did_you_mean

_COMPLETION = "_MEDSAM_EXP_COMPLETE"
_RESEARCH_ONLY = "Research use only; not a medical device."
_WORDS_FOR_OTHERS = {"ignore_unknown_options": True, "help_option_names": []}
"""Settings of a command whose words are all read by somebody else, options included."""


class _Commands(TyperGroup):
    """Answers an unknown command with the nearest one, and bad input with one sentence."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is named."""
        if args[0] not in self.commands:
            ctx.fail(f"medsam-exp has no command {args[0]!r}; {did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise typer.TyperException(str(error)) from error
        except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
            sys.stderr.close()
            return 0
        except Exception as error:
            if said := disk_fault(error):
                raise typer.TyperException(said) from error
            raise


app = typer.Typer(
    cls=_Commands,
    help=f"Text-driven segmentation of medical images. {_RESEARCH_ONLY}",
    epilog="medsam-exp COMMAND --help says more.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@stops_when_asked(hint="")
def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; bad input is one sentence.

    Args:
        arguments: a command and its own arguments; None for those of this process.

    Returns:
        Exit code: 0 when all went well, 2 where the command line itself is wrong.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in ([], ["help"]):
        words = ["--help"]
    if _COMPLETION in os.environ:  # set by the script that a shell completes with
        from typer._completion_classes import completion_init

        completion_init()
    try:
        return app(words, prog_name="medsam-exp", standalone_mode=False) or 0
    except typer.TyperException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        return error.exit_code


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"medsam-exp {medsam_exp.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version


_Outputs = Annotated[Path, typer.Argument(envvar="MEDSAM_OUTPUTS", help="Folder of runs and sweeps.")]
_Artifacts = Annotated[Path | None, typer.Option(help="Stored results, if not OUTPUTS/artifacts.")]
_Also = Annotated[
    list[Path] | None, typer.Option(metavar="FOLDER", help="Further runs that use them; may be repeated.")
]
_First = Annotated[int | None, typer.Option(metavar="N", help="No more than N rows.")]
_Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


class Status(StrEnum):
    """How a run can stand."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    UNREADABLE = "unreadable"


@app.command(context_settings=_WORDS_FOR_OTHERS)
def run(words: Annotated[list[str] | None, typer.Argument(metavar="[OPTIONS]")] = None) -> None:
    """Run an experiment or a sweep: GROUP=CHOICE KEY=VALUE."""
    from medsam_exp.cli.run import main as start

    start(words or [])


def _choice(group: str) -> Any:
    """An option that takes a choice of a configuration group."""
    names = ", ".join(path.stem for path in sorted((conf_folder() / group).glob("*.yaml")))
    return typer.Option(metavar="CHOICE", help=f"{GROUPS[group]} ({names}).")


@app.command(epilog=_RESEARCH_ONLY)
def segment(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE]",
            help="As -i; what has = is a setting as a run takes it, such as saliency.beta=0.5 trainer=gpu.",
        ),
    ] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--input", "-i", metavar="PATH", help="Image, volume or folder of them; may be repeated."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="For the results.")] = Path(
        "segmented"
    ),
    text: Annotated[
        list[str] | None,
        typer.Option(help='What to find, such as "a dark irregular mass"; repeated for several classes.'),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Texts: columns class,text, or filename,Caption for each image's own."
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also folders in folders.")] = False,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also images with outlines.")] = False,
    maps: Annotated[bool, typer.Option("--maps", help="Also saliency maps.")] = False,
    axis: Annotated[
        Literal["acquired", "axial", "coronal", "sagittal"], typer.Option(help="Plane of a volume's slices.")
    ] = "acquired",
    window: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of CT, such as lung, or CENTER,WIDTH; by default as the file asks."
        ),
    ] = None,
    clip: Annotated[str | None, _choice("clip")] = None,
    saliency: Annotated[str | None, _choice("saliency")] = None,
    postprocess: Annotated[str | None, _choice("postprocess")] = None,
    component_filter: Annotated[str | None, _choice("component_filter")] = None,
    prompt: Annotated[str | None, _choice("prompt")] = None,
    fusion: Annotated[str | None, _choice("fusion")] = None,
    sam: Annotated[str | None, _choice("sam")] = None,
    mask_filter: Annotated[str | None, _choice("mask_filter")] = None,
    presence: Annotated[str | None, _choice("presence")] = None,
    veto: Annotated[str | None, _choice("veto")] = None,
    text_segmenter: Annotated[str | None, _choice("text_segmenter")] = None,
) -> int:
    """Segment images and volumes by text: folder in, folder out.

    PNG, JPEG, TIFF, BMP, WebP and DICOM images; DICOM series, NIfTI, MHA and NRRD slice by slice. Masks are PNG, of
    volumes NIfTI in the volume's own geometry; results.csv has presence and area of each. A second call computes only
    what is new.
    """
    from medsam_exp.cli.segment.command import Wanted, say, segment_images, speak

    choices = {
        "clip": clip,
        "saliency": saliency,
        "postprocess": postprocess,
        "component_filter": component_filter,
        "prompt": prompt,
        "fusion": fusion,
        "sam": sam,
        "mask_filter": mask_filter,
        "presence": presence,
        "veto": veto,
        "text_segmenter": text_segmenter,
    }
    settings = [word for word in words or [] if "=" in word and not Path(word).exists()]
    named = [Path(word) for word in words or [] if word not in settings]
    if not (paths := [*(inputs or []), *named]):
        raise UserError("no image is named; give an image, a volume or a folder with -i, such as -i scans")
    speak()
    done = segment_images(
        paths,
        text or [],
        texts,
        out,
        settings,
        {group: choice for group, choice in choices.items() if choice is not None},
        Wanted(overlays, maps),
        plane=axis,
        window=window.split(",") if window else None,
        recursive=recursive,
    )
    return say(done, out)


app.command()(evaluate)
app.command()(info)


@app.command("app", epilog=_RESEARCH_ONLY)
def open_app(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SETTING", help="For every question, as a run takes them, such as trainer=gpu."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default this machine alone.")
    ] = "127.0.0.1",
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="Host name under which a browser reaches the page; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 7860,
    max_mb: Annotated[int, typer.Option(help="Size of an image file at most.")] = MEGABYTES,
    max_megapixels: Annotated[float, typer.Option(help="Size of an image at most.")] = MEGAPIXELS,
) -> None:
    """Open the local web app."""
    from medsam_exp.cli.app.server import running_app

    with running_app(host, port, max_mb, max_megapixels, settings or (), names=names or ()) as blocks:
        print(f"The app is at {blocks.local_url}  (Ctrl+C ends it)", flush=True)
        blocks.block_thread()


app.command(epilog=_RESEARCH_ONLY)(mcp)


@app.command()
def app_examples(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")] = Path("examples"),
) -> None:
    """Write the example scans of the app, with a text for each."""
    from medsam_exp.cli.app.examples import examples, write_examples

    paths = write_examples(folder)
    for example in examples():
        print(f"{paths[example.name]}  {' | '.join(example.texts)}")


@app.command()
def doctor(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="EXPERIMENT", help="Look at these alone.")
    ] = None,
    as_json: _Json = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify the checksums of all weights (a minute).")
    ] = False,
) -> None:
    """Say what this machine can run, and what is missing.

    Says what the machine has, which weights and data are there, what each shipped experiment still lacks, and the
    command that mends it. Needs no connection and changes nothing.
    """
    from medsam_exp.cli.doctor.findings import as_record, examine
    from medsam_exp.cli.doctor.page import lines
    from medsam_exp.runtime.json_text import json_text

    found = examine(experiments or (), verify_all=verify)
    print(json_text(as_record(found), indent=1, default=str) if as_json else "\n".join(lines(found)).rstrip())


@app.command()
def benchmark(
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for the GPU where there is one.")] = "auto",
    out: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the table there.")
    ] = None,
) -> None:
    """Time the full-size networks on this machine.

    M2IB at BiomedCLIP's size and SAM's ViT-B encoder, with random weights, in float32 and in bfloat16, against plain
    references: seconds an image, ratio, and how fast it could be at most by this machine's matrix products. Takes some
    minutes on a processor.
    """
    from medsam_exp.cli.benchmark.command import benchmark_machine

    benchmark_machine(device, out)


app.add_typer(weights_app, name="weights")
app.add_typer(preparers_app, name="prepare")


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(value) for value in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no list of whole numbers, such as 1,2") from error


@app.command()
def data_check(
    root: Annotated[Path, typer.Argument(help="The dataset.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write to; by default OUTPUTS/data_quality/NAME.")
    ] = None,
    outputs: Annotated[
        Path, typer.Option(envvar="MEDSAM_OUTPUTS", help="Where measurements are cached.")
    ] = Path("outputs"),
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help=r"Patient in a file's name, e.g. '^(ID_\d+)_'; or index.csv has a column group.",
        ),
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Without the images of this list, as data.exclude takes it."),
    ] = None,
    mask_values: Annotated[
        str | None, typer.Option(metavar="1,2", help="Foreground in masks of class labels.")
    ] = None,
    tiny: Annotated[float, typer.Option(metavar="PERCENT", help="Masks below are tiny.")] = 0.02,
    aspect: Annotated[float, typer.Option(help="Longer over shorter side at most.")] = 3.0,
    same_mask: Annotated[
        float, typer.Option(metavar="DICE", help="Masks of one image contradict each other below.")
    ] = 0.9,
    quick: Annotated[bool, typer.Option("--quick", help="Do not look for near-duplicates.")] = False,
    image_column: Annotated[str, typer.Option(help="Of pairs.")] = "filename",
    caption_column: Annotated[str, typer.Option(help="Of pairs.")] = "Caption",
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where there are errors.")] = False,
) -> int:
    """Look for duplicates, leaks and faults in a dataset.

    ROOT is a folder with SPLIT_images and SPLIT_masks, an original download of any depth, or a CSV file (or a folder of
    such files) of image-caption pairs. Written are data_quality.html (a page with pictures of every finding),
    findings.csv and .json, exclude.csv (images to leave out, for data.exclude) and groups.csv (what may not be on both
    sides of a split).
    """
    from medsam_exp.curation.quality.data_check import check_dataset, print_examination
    from medsam_exp.curation.quality.facts import Limits

    folder = output or outputs / "data_quality" / root.resolve().stem
    limits = Limits(tiny_share=tiny / 100, aspect=aspect, same_mask=same_mask)
    try:
        examination = check_dataset(
            root,
            folder,
            outputs / "artifacts",
            limits,
            group=group,
            exclude=exclude,
            mask_values=None if mask_values is None else _whole_numbers(mask_values),
            near_duplicates=not quick,
            columns=(image_column, caption_column),
        )
    except OSError as error:
        raise UserError(
            f"{error}: free space, or choose other folders with --outputs and --output"
        ) from error
    print_examination(examination, folder)
    return int(strict and bool(examination.of("error")))


_TISSUE = "85756007:SCT:Tissue"


@app.command()
def write_back(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a folder of mask images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write, new or empty.")],
    source: Annotated[Path, typer.Option(metavar="PREPARED", help="The folder that the images came from.")],
    to: Annotated[Literal["nifti", "dicom-seg"], typer.Option(help="Format of the files.")],
    what: Annotated[
        Literal["masks", "labels", "probability", "saliency"],
        typer.Option(help="Masks, images of class labels, or maps."),
    ] = "masks",
    original: Annotated[
        Path | None, typer.Option(metavar="SRC", help="For dicom-seg: folder of the source images.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="For dicom-seg: label of the segment where there is one class.")
    ] = "prediction",
    category: Annotated[str, typer.Option(metavar="CODE:SCHEME:MEANING", help="Its category.")] = _TISSUE,
    type_: Annotated[str, typer.Option("--type", metavar="CODE:SCHEME:MEANING", help="Its type.")] = _TISSUE,
) -> None:
    """Write masks as NIfTI or DICOM-SEG in the scan's geometry.

    RUN is a run's folder, or a folder of mask images named as the prepared images. PREPARED is what
    `medsam-exp prepare own` wrote; its geometry.json says where every slice lies. Slices that nothing was predicted
    for are background, and are named.
    """
    from medsam_exp.curation.write_back import scans
    from medsam_exp.curation.write_back.dicom_seg import SegmentNames

    names = SegmentNames(name, scans.coded(category), scans.coded(type_))
    try:
        notes = scans.write_back(run, out, source, to, what, original, names)
    except OSError as error:
        raise UserError(f"{error}: free space, or give another folder, and start again") from error
    print("\n".join(notes))


@app.command()
def runs(
    outputs: _Outputs = Path("outputs"),
    artifacts: _Artifacts = None,
    also: _Also = None,
    sort: Annotated[
        str, typer.Option(help="when, name, status, size, or a metric such as sam/dsc.")
    ] = "when",
    status: Annotated[list[Status] | None, typer.Option(help="Only these; may be repeated.")] = None,
    name: Annotated[str, typer.Option(help="Only those with this in their path.")] = "",
    jobs: Annotated[bool, typer.Option("--jobs", help="List the jobs of sweeps, too.")] = False,
    first: _First = None,
    as_json: _Json = False,
) -> None:
    """List runs and sweeps: status, when, main scores, size."""
    from medsam_exp.cli.artifact_gc import commands

    places = commands.places_of(outputs, artifacts, also or ())
    commands.list_runs(places, sort, status or (), name, jobs=jobs, first=first, as_json=as_json)


@app.command(cls=WordLists)
def collect(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Of a sweep, or of single runs.")],
    stage: Annotated[
        str | None, typer.Option(help="What is scored, such as coarse or sam; by default each.")
    ] = None,
    measure: Annotated[
        str | None, typer.Option(help="Column of per_image.csv; by default each measure of masks.")
    ] = None,
    rows: Annotated[list[str] | None, typer.Option(metavar="AXIS...", help="Axes of the rows.")] = None,
    columns: Annotated[list[str] | None, typer.Option(metavar="AXIS...", help="Axes of the columns.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=VALUE...",
            help="Test each row against the one with these values; by default the first row's.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write; by default the first folder.")] = None,
) -> None:
    """Make the tables and the report of a sweep.

    Writes one tidy table of everything, for each stage and measure a pivot table as Markdown, LaTeX and HTML, and a
    report with plots and an image browser, beside the sweep's jobs. With many rows some small p comes up by chance:
    p-values are corrected for the number of tests of one table, not for the number of tables that are looked at.
    """
    from medsam_exp.runtime.console import open_console
    from medsam_exp.sweep import collect as sweep
    from medsam_exp.sweep.pivot import Layout

    layout = Layout(
        sweep.axis_names(rows or ()), sweep.axis_names(columns or ()), sweep.axis_values(against or ())
    )
    folder = output or folders[0]
    collected = sweep.collect(folders, folder, stage=stage, measure=measure, layout=layout)
    sweep.print_collected(collected, folder, open_console())


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of run A, with summary.json and per_image.csv.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of run B; differences are B - A.")],
    measure: Annotated[str, typer.Option(help="Column of per_image.csv.")] = "dsc",
    stage: Annotated[
        str | None,
        typer.Option(help="What is scored, such as coarse, sam or saliency; by default the last in both."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the result there.")
    ] = None,
) -> None:
    """Compare two runs image by image.

    Images are paired by id, so that a difference is one of the methods and not of the images. Where an image is asked
    for several classes, the mean of its scores counts: they are not independent. Nor are images of one patient: where
    patients are known, interval and tests go by patient. With several measures or stages tested, some small p comes up
    by chance: choose what to test before looking.
    """
    from rich.console import Console

    from medsam_exp.report.compare import compare_runs, print_comparison
    from medsam_exp.runtime.json_text import json_text

    result = compare_runs(run_a, run_b, measure, stage)
    print_comparison(result, Console())
    if json_file is not None:
        json_file.write_text(json_text(result, indent=1) + "\n")


@app.command()
def dashboard(
    sweep: Annotated[str, typer.Argument(help="Folder of a sweep, or the W&B group of its runs.")],
    project: Annotated[str, typer.Option(help="W&B project.")] = "medsam_exp",
    entity: Annotated[str | None, typer.Option(help="W&B team or user; by default the key's own.")] = None,
) -> None:
    """Save a W&B dashboard of a sweep.

    It shows the runs of the sweep's group: final scores, what they depend on, the tables of images, and curves.
    """
    from medsam_exp.sweep.wandb_workspace import save_workspace

    print(save_workspace(sweep, project, entity))


@app.command()
def du(
    outputs: _Outputs = Path("outputs"),
    artifacts: _Artifacts = None,
    also: _Also = None,
    first: _First = None,
    as_json: _Json = False,
) -> int:
    """Say what takes the space in outputs/, by stage and by run."""
    from medsam_exp.cli.artifact_gc import commands

    return commands.show_usage(
        commands.places_of(outputs, artifacts, also or ()), first=first, as_json=as_json
    )


@app.command()
def clean(
    outputs: _Outputs = Path("outputs"),
    artifacts: _Artifacts = None,
    also: _Also = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    hours: Annotated[float, typer.Option(help="Keep what was used since then.")] = 12.0,
) -> int:
    """Offer stored results that no run needs for deletion.

    Deletes, after asking, stored results that no run, sweep or configuration needs. Runs and sweeps themselves are
    never deleted.
    """
    from medsam_exp.cli.artifact_gc import commands

    return commands.clean(commands.places_of(outputs, artifacts, also or ()), hours, ask=not yes)


@app.command()
@stops_when_asked()
def sync(
    outputs: _Outputs = Path("outputs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them and send nothing.")] = False,
) -> int:
    """Send W&B runs that were kept offline."""
    from medsam_exp.report.logger import sync as wandb_sync

    return wandb_sync.sync(outputs, dry_run=dry_run)


@app.command()
def export_clip(
    model: Annotated[
        str, typer.Argument(help="A folder in open_clip's layout, hf-hub:OWNER/NAME, or a name of open_clip.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write, new or empty.")],
    layout: Annotated[
        Literal["open_clip", "huggingface"], typer.Option(help="How tensors and files are named.")
    ],
    weights: Annotated[
        str | None, typer.Option(help="A file of weights in any layout; the model's own without it.")
    ] = None,
) -> None:
    """Write a CLIP for other programs."""
    from medsam_exp.clip.export import export

    export(model, out, layout, weights)
    files = ", ".join(sorted(path.name for path in out.iterdir()))
    print(f"wrote {model} in the layout {layout} to {out}: {files}")


if __name__ == "__main__":
    sys.exit(main())
