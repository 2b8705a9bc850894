"""The command `medsam-exp`: one word for each thing that can be done; nothing heavy is imported before it is needed."""

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import medsam_exp
from medsam_exp.runtime.interrupts import stops_when_asked


@dataclass(frozen=True)
class Command:
    """One word after `medsam-exp`.

    Attributes:
        module: has a function `main(arguments)` that returns an exit code or nothing.
        about: one line for the list of commands.
        before: what stands before the typed arguments.
    """

    module: str
    about: str
    before: tuple[str, ...] = ()


COMMANDS = {
    "run": Command("medsam_exp.cli.run", "run an experiment or a sweep, from GROUP=CHOICE and KEY=VALUE"),
    "segment": Command("medsam_exp.cli.segment", 'segment one image: medsam-exp segment IMAGE --text "..."'),
    "app": Command("medsam_exp.cli.app.__main__", "open the local web app"),
    "doctor": Command("medsam_exp.cli.doctor.__main__", "say what this machine can run, and what is missing"),
    "weights": Command("medsam_exp.cli.weights.__main__", "list, get, check and find published weights"),
    "prepare": Command(
        "medsam_exp.curation.prepare.__main__", "bring a dataset's download into the layout that is read"
    ),
    "data-check": Command(
        "medsam_exp.curation.quality.__main__", "look for duplicates, leaks and faults in a dataset"
    ),
    "write-back": Command(
        "medsam_exp.curation.write_back.__main__", "write masks as NIfTI or DICOM-SEG in the scan's geometry"
    ),
    "runs": Command("medsam_exp.cli.artifact_gc.__main__", "list runs and sweeps", ("runs",)),
    "collect": Command("medsam_exp.sweep.collect", "make the tables and the report of a sweep"),
    "compare": Command("medsam_exp.report.compare", "compare two runs image by image"),
    "du": Command("medsam_exp.cli.artifact_gc.__main__", "say what takes the space in outputs/", ("du",)),
    "clean": Command(
        "medsam_exp.cli.artifact_gc.__main__", "offer stored results that no run needs", ("clean",)
    ),
    "sync": Command("medsam_exp.report.logger.sync", "send W&B runs that were kept offline"),
    "export-clip": Command("medsam_exp.clip.export", "write a CLIP for other programs"),
}


@stops_when_asked(hint="")
def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; bad input is one sentence.

    Args:
        arguments: a command and its own arguments; None for those of this process.

    Returns:
        Exit code; 0 when all went well.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if given[0] in ("-V", "--version"):
        print(f"medsam-exp {medsam_exp.__version__}")
        return 0
    if given[0] not in COMMANDS:
        print(f"error: {_unknown(given[0])}", file=sys.stderr)
        return 2
    return _do(COMMANDS[given[0]], given[1:])


def _do(command: Command, arguments: list[str]) -> int:
    from medsam_exp.types import UserError

    try:
        code = import_module(command.module).main([*command.before, *arguments])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    return code or 0


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {command.about}" for name, command in COMMANDS.items())
    return "\n".join(
        (
            "usage: medsam-exp COMMAND ...",
            "",
            "Text-driven segmentation of medical images. Research use only; not a medical device.",
            "",
            *lines,
            "",
            "medsam-exp COMMAND --help says more.",
        )
    )


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return f"medsam-exp has no command {word!r}; {hint}"


if __name__ == "__main__":
    sys.exit(main())
