"""`sam=auto`: the name of a segmenter whose weights are here and which fits this machine, before anything else is read.

What follows sees the name alone, so that a result's key and record are those of `sam=NAME`.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.filesize import decimal

from medsam_exp.cli.doctor.machine import Machine, look
from medsam_exp.cli.weights.catalogue import Weights, catalogue
from medsam_exp.cli.weights.local_cache import state
from medsam_exp.types import UserError

AUTO = "auto"
_WORD = re.compile(r"(?P<key>\+{0,2}sam)=(?P<values>.*)")
_SWEPT = re.compile(r"[^=]+=[^\[{'\"]*,.*")
_AROUND_WEIGHTS = 1_700_000_000
"""Bytes of memory besides a segmenter's weights, for one image at 1024 px on a CPU; measured: 1.1 to 1.7 GB."""


def named(words: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]) -> list[str]:
    """The same options of a run, with a segmenter's name in place of each `auto`; standard error says which, and why.

    Args:
        words: as typed.
        compose: options to their configuration.

    Raises:
        UserError: no segmenter's weights are here, or none of them fits.
    """
    if not any(AUTO in _values(word) for word in words):
        return list(words)
    options = [word for word in words if "=" in word and not word.startswith("-")]
    others = [word for word in options if not (_WORD.fullmatch(word) or _SWEPT.fullmatch(word))]
    cfg = compose([*others, "sam=tiny"])
    if any(word.lstrip("+").startswith("sam.checkpoint=") for word in words):
        raise UserError(
            f"sam={AUTO} looks for published files, but sam.checkpoint names one: name its sam, too."
        )
    chosen, why = _for_run(cfg)
    print(f"sam={AUTO} takes {chosen}: {why}", file=sys.stderr)
    return [_with_name(word, chosen) for word in words]


def choice_of(weights: Weights) -> str:
    """What is typed after `sam=`."""
    return weights.use.removeprefix("sam=")


def segmenters() -> list[Weights]:
    """Those of the catalogue, the smallest files first."""
    return sorted((each for each in catalogue().values() if each.kind == "sam"), key=lambda each: each.bytes)


def fits(weights: Weights, free: int | None) -> bool:
    """Whether so many bytes of free memory are enough for one image; unknown ones are."""
    return free is None or weights.bytes + _AROUND_WEIGHTS <= free


def pick(here: Sequence[Weights], machine: Machine, *, on_gpu: bool) -> tuple[Weights, str]:
    """One of the segmenters that are here, and why: the largest that fits a GPU, or the smallest on a CPU.

    Args:
        here: at least one.
        machine: with its free memory.
        on_gpu: whether the run computes on its first GPU.

    Raises:
        UserError: none fits.
    """
    gpu = machine.gpus[0].free if on_gpu and machine.gpus else None
    free = machine.memory_free if gpu is None else gpu
    place = "memory" if gpu is None else "GPU memory"
    room = f"{decimal(free)} of free {place}" if free is not None else place
    fitting = [each for each in here if fits(each, free)]
    if not fitting:
        names = ", ".join(map(choice_of, here))
        raise UserError(
            f"sam={AUTO} finds weights of {names}, but none fits into {room}; {_smallest()}, or choose sam=tiny, "
            "which is in the package."
        )
    best = (max if on_gpu else min)(fitting, key=_parameters)
    rule = "the most parameters, for a GPU" if on_gpu else "the fewest parameters, for a CPU"
    names = ", ".join(choice_of(each) for each in fitting)
    return best, f"of what is here and fits into {room} ({names}) it has {rule}"


def _for_run(cfg: DictConfig) -> tuple[str, str]:
    folder = Path(cfg.paths.weights).expanduser()
    here = [each for each in segmenters() if state(each, folder).usable]
    if not here:
        raise UserError(
            f"sam={AUTO} finds no segmenter's weights in {folder}; {_smallest()}, or choose sam=tiny, which is in the "
            "package."
        )
    asked = [each for each in here if _understands(cfg, choice_of(each))]
    if not asked:
        names = ", ".join(map(choice_of, here))
        raise UserError(
            f"sam={AUTO} finds weights of {names}, but this prompt is for none of them: use prompt=box."
        )
    machine = look({})
    weights, why = pick(asked, machine, on_gpu=bool(machine.gpus) and cfg.trainer.accelerator != "cpu")
    return choice_of(weights), why


def _understands(cfg: DictConfig, choice: str) -> bool:
    from medsam_exp.config.method_checks import (
        prompts_are_understood,
    )  # imports torch, which the doctor does without

    cfg.sam.architecture = choice  # each choice of the catalogue has its architecture's name
    return not list(prompts_are_understood(cfg))


def _parameters(weights: Weights) -> float:
    """Millions, as the catalogue says."""
    found = re.search(r"([\d.]+) M parameters", weights.architecture)
    assert found is not None, f"{weights.name} has no number of parameters"
    return float(found[1])


def _smallest() -> str:
    weights = min(segmenters(), key=_parameters)
    return f"`medsam-exp weights get {weights.name}` fetches {weights.download_size} ({weights.licence})"


def _values(word: str) -> list[str]:
    found = _WORD.fullmatch(word)
    return [value.strip() for value in found["values"].split(",")] if found else []


def _with_name(word: str, chosen: str) -> str:
    if AUTO not in (values := _values(word)):
        return word
    names = dict.fromkeys(chosen if value == AUTO else value for value in values)
    return f"{word.partition('=')[0]}={','.join(names)}"
