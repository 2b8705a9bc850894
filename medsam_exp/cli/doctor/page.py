"""The findings in plain words, for a terminal."""

import textwrap
from collections.abc import Iterator
from contextlib import suppress

from rich.filesize import decimal

from medsam_exp.cli.auto_sam import choice_of, fits, pick, segmenters
from medsam_exp.cli.doctor.findings import Findings, title_of
from medsam_exp.cli.doctor.machine import Machine
from medsam_exp.cli.preflight import PREPARED, Need
from medsam_exp.cli.weights.catalogue import catalogue
from medsam_exp.config.start_command import start_command
from medsam_exp.runtime.conf_folder import in_checkout
from medsam_exp.runtime.extras import EXTRAS
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

_INDENT = "  "
_NAME = 14
_EXPERIMENT = 28
_WIDTH = 90


def lines(found: Findings) -> Iterator[str]:
    """The whole page, a line each."""
    sections = {
        "This machine": _machine(found.machine),
        "Packages that only some uses need": _packages(found.machine),
        f"Published weights in {found.weights_folder}": _weights(found),
        "Segmenters (sam=NAME), the smallest files first": _segmenters(found),
        "Data": _data(found),
        "W&B": _wandb(found),
        "Experiments that can run now": _ready(found),
        "Experiments that lack something": _lacking(found),
        "What to do": _to_do(found),
    }
    for title, content in sections.items():
        if listed := list(content):
            yield from (title, *(f"{_INDENT}{line}" for line in listed), "")


def _row(name: str, text: str) -> str:
    return f"{name:<{_NAME}} {text}"


def _machine(machine: Machine) -> Iterator[str]:
    if machine.gpus:
        for gpu in machine.gpus:
            memory = f", {decimal(gpu.total)}" if gpu.total else ""
            free = f" of which {decimal(gpu.free)} are free" if gpu.free is not None else ""
            yield _row("GPU", f"{gpu.name}{memory}{free}; use it by trainer=gpu")
    else:
        none = "none: everything runs on the CPU; the embedded networks are made for that, published ones are slow"
        yield _row("GPU", machine.gpu_note or none)
    yield _row("processors", f"{machine.cores} that this process may use")
    if machine.memory:
        free = f", {decimal(machine.memory_free)} of it free" if machine.memory_free else ""
        yield _row("memory", f"{decimal(machine.memory)}{free}")
    by_size: dict[int, list[str]] = {}
    for what, free_bytes in machine.disk_free.items():
        by_size.setdefault(free_bytes, []).append(what)
    for free_bytes, whats in by_size.items():
        yield _row("disk", f"{decimal(free_bytes)} free for {', '.join(whats)}")
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    yield _row("versions", f"Python {machine.python}, {versions}")
    yield _row("system", machine.system)


def _packages(machine: Machine) -> Iterator[str]:
    for name, extra in EXTRAS.items():
        here = machine.optional.get(name, False)
        yield _row(
            name, f"{'here' if here else 'not here'}, for {extra.use}{'' if here else f': {extra.installs}'}"
        )


def _weights(found: Findings) -> Iterator[str]:
    here = {name: each for name, each in found.weights.items() if each.kind != "missing"}
    for name, each in here.items():
        yield f"{name:<20} {each}"
    missing = [name for name in found.weights if name not in here]
    if missing:
        yield f"{'not here' if here else 'none of them is here'}: {', '.join(missing)}"
        yield "(the embedded small networks need none; `medsam-exp weights list` says what each is)"


def _segmenters(found: Findings) -> Iterator[str]:
    """Which of them are here, and which fit into this machine's memory."""
    sams, free = segmenters(), found.machine.memory_free
    here = [each for each in sams if found.weights[each.name].usable]
    lists = {
        "weights here": here,
        "fit in memory": [each for each in sams if free and fits(each, free)],
        "too large now": [each for each in sams if not fits(each, free)],
    }
    for title, listed in lists.items():
        if listed:
            yield _row(title, ", ".join(map(choice_of, listed)))
    for on_gpu in (False, True) if here else ():
        if not on_gpu or found.machine.gpus:
            with suppress(UserError):  # none fits, which the rows above say
                taken, why = pick(here, found.machine, on_gpu=on_gpu)
                yield _row("sam=auto", f"takes {choice_of(taken)}: {why}")
    if not found.machine.gpus:
        quick = (
            "of vit_b's time, edgetam and medsam2 take a tenth and less, mobile_sam and lite_medsam a sixth"
        )
        yield _row("on a CPU", f"{quick}, sam2_tiny a third")


def _data(found: Findings) -> Iterator[str]:
    for folder, there in found.data.items():
        how = "" if there else f": medsam-exp prepare {PREPARED[folder.name]} DOWNLOAD"
        yield f"{folder!s:<28} {'here' if there else 'not here'}{how}"
    yield f"(drawn scans need none; your own: {start_command()} data=folder data.root=FOLDER)"


def _wandb(found: Findings) -> Iterator[str]:
    send = "make wandb-sync" if in_checkout() else "medsam-exp sync"
    if found.wandb_login:
        yield "logged in: logger=wandb is online"
    else:
        yield f"no login: logger=wandb keeps everything on this disk (wandb login, then {send})"


def _ready(found: Findings) -> Iterator[str]:
    for name in found.ready:
        fetches = "".join(f" (fetches {need.thing})" for need in found.experiments[name])
        yield f"{name:<{_EXPERIMENT}} {textwrap.shorten(title_of(name), _WIDTH, placeholder=' ...')}{fetches}"
    yield f"start one by: {start_command()} +experiment=NAME"


def _lacking(found: Findings) -> Iterator[str]:
    for name, needs in found.experiments.items():
        if name not in found.ready:
            yield f"{name:<{_EXPERIMENT}} {'; '.join(need.thing for need in needs)}"


def _to_do(found: Findings) -> Iterator[str]:
    """Each command once, the one that most experiments wait for first."""
    helped: dict[str, dict[str, None]] = {}
    for name, needs in found.experiments.items():
        for need in needs:
            if name not in found.ready:
                helped.setdefault(_typed(need), {})[name] = None
    for mend, names in sorted(helped.items(), key=lambda item: -len(item[1])):
        yield mend
        yield f"{_INDENT}for {first_few(names, 3)}"
    if helped:
        yield "(DOWNLOAD is the folder or zip as its publishers give it)"


def _typed(need: Need) -> str:
    """A command with the size of what it fetches; or what to do in words, after what is wrong."""
    if not need.command:
        return f"{need.what}: {need.mend}"
    entry = catalogue().get(need.mend.rpartition(" ")[2])
    about = f"   # {entry.download_size}, licence: {entry.licence}" if entry else ""
    return f"{need.mend}{about}"
