"""What is wrong with a command line that Hydra cannot compose, in one sentence that says what to type instead."""

import copy
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from hydra._internal import utils
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Sweep
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.cli.help_page import ADDED_GROUPS, MAIN_GROUPS
from medsam_exp.config.shells import for_shell, in_every_shell
from medsam_exp.config.unsafe_values import unsafe_values
from medsam_exp.runtime.disk_faults import disk_fault
from medsam_exp.runtime.wording import did_you_mean, first_few, near_names

LOAD = ConfigLoaderImpl.load_configuration
_REPORT = utils.run_and_report
FAILURES = (HydraException, OmegaConfBaseException, TypeError, ValueError)
"""What Hydra raises where a command line cannot be composed."""
_LONG = {
    "cfg": "c",
    "package": "p",
    "config-path": "cp",
    "config-name": "cn",
    "config-dir": "cd",
    "info": "i",
}
_OPTIONS_WITH_A_VALUE = {*(f"--{name}" for name in _LONG), *(f"-{name}" for name in _LONG.values())}
_MERGING = "Error merging override "
_NOISE = ("full_key:", "object_type=", "reference_type=", "See https://")


def stray_word(typed: Sequence[str], folder: Path) -> str:
    """Says which word is no option, such as the rest of a text without quotes; empty where all are options.

    Args:
        typed: the command line as the shell gave it.
        folder: of the configuration, `GROUP/CHOICE.yaml`.
    """
    before = ""
    for number, word in enumerate(typed):
        if word.startswith(("-", "~")) or "=" in word or before in _OPTIONS_WITH_A_VALUE:
            before = word
            continue
        groups = (
            sorted(path.parent.name for path in folder.glob(f"*/{word}.yaml")) if word.isidentifier() else []
        )
        if groups:
            known = [f"{'+' * (group in ADDED_GROUPS)}{group}={word}" for group in groups]
            return f"{word} is no option; did you mean {first_few(known, separator=' or ')}?"
        if "=" in before:
            rest = takewhile(lambda each: "=" not in each and not each.startswith("-"), typed[number:])
            whole = " ".join([before, *rest])
            return f"{word} is no option; keep a text together by quotes: {in_every_shell(whole)}"
        if Path(word).exists():
            choice, key = ("folder", "root") if Path(word).is_dir() else ("image", "path")
            return f"{word} is no option; did you mean data={choice} {for_shell(f'data.{key}={word}')}?"
        return f"{word!r} is no option; options are GROUP=CHOICE and KEY=VALUE, and --help lists the groups"
    return ""


def refusal(
    error: BaseException, typed: Sequence[str], loader: ConfigLoaderImpl, *, sweeps: bool = False
) -> str:
    """Says in one sentence why options cannot be composed, and what may have been meant.

    Args:
        error: what Hydra raised.
        typed: the options, as Hydra was given them.
        loader: knows the folders of the configuration.
        sweeps: several values of an option are allowed.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(typed))
    except HydraException:
        return _said(error)
    is_group = loader.repository.group_exists
    for override in parsed:
        if is_group(override.key_or_group) and (wrong := _wrong_choice(override, loader, str(error))):
            return wrong
    chosen = [each.input_line or "" for each in parsed if is_group(each.key_or_group)]
    try:
        cfg = LOAD(loader, "config", chosen, RunMode.MULTIRUN, validate_sweep_overrides=False)
    except FAILURES:
        return _said(error)
    for override in parsed:
        if not (override.is_add() or override.is_force_add() or is_group(override.key_or_group)) and (
            found := _lacking(cfg, override.key_or_group)
        ):
            return f"{override.input_line}: {_unknown(*found, cfg, loader)}"
        if override.is_sweep_override() and not sweeps:
            return _without_multirun(override, cfg)
    return _said(error)


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Within it, a command line that Hydra cannot compose ends the program with one sentence and exit code 1.

    So does what a disk refuses, to Hydra too, which writes a run's first files.

    A sweep's values are tried before the sweep is recorded. With HYDRA_FULL_ERROR=1 Hydra speaks for itself.
    """

    def loaded(
        loader: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        sweeps = run_mode == RunMode.MULTIRUN
        try:
            cfg = LOAD(loader, config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
            if sweeps and validate_sweep_overrides:
                _try_values(overrides, cfg, loader)
        except FAILURES as error:
            if not validate_sweep_overrides:  # Hydra only asks for the mode, and asks again
                raise
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            sys.exit(f"error: {refusal(error, overrides, loader, sweeps=sweeps)}")
        if problems := list(unsafe_values(cfg, overrides)):  # before Hydra makes a folder and writes into it
            sys.exit(f"error: {'; '.join(problems)}")
        return cfg

    ConfigLoaderImpl.load_configuration = loaded  # type: ignore[method-assign, assignment]
    utils.run_and_report = _reported  # type: ignore[assignment]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = LOAD  # type: ignore[method-assign]
        utils.run_and_report = _REPORT


def _reported(function: Callable[[], Any]) -> Any:
    """As Hydra does it, but what a disk refuses is one sentence."""

    def called() -> Any:
        try:
            return function()
        except Exception as error:
            if said := said_of_disk(error):
                sys.exit(f"error: {said}")
            raise

    return _REPORT(called)


def said_of_disk(error: Exception) -> str:
    """A sentence on what a disk refuses; "" for other errors, and where whole tracebacks are asked for."""
    return "" if os.environ.get("HYDRA_FULL_ERROR") == "1" else disk_fault(error)


def _try_values(typed: Sequence[str], cfg: DictConfig, loader: ConfigLoaderImpl) -> None:
    """Set every value of a sweep on a copy of the configuration; which keys there are may depend on swept choices.

    Raises:
        HydraException: a choice or a key does not exist, or a value has the wrong type.
    """
    sweeps = [
        each for each in OverridesParser.create().parse_overrides(list(typed)) if each.is_sweep_override()
    ]
    sweeps = [each for each in sweeps if each.is_discrete_sweep()]
    groups = [each for each in sweeps if loader.repository.group_exists(each.key_or_group)]
    for override in groups:
        if _wrong_choice(override, loader, ""):
            raise HydraException
    for override in [] if groups else sweeps:
        lines = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        values = OverridesParser.create().parse_overrides(lines)
        ConfigLoaderImpl._apply_overrides_to_config(values, copy.deepcopy(cfg))


def _wrong_choice(override: Override, loader: ConfigLoaderImpl, error: str) -> str:
    """What is wrong with a choice of a group."""
    group, value = override.key_or_group, override.value()
    if override.is_delete() or value is None or isinstance(value, dict):
        return ""
    options = loader.get_group_options(group)
    values = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    for choice in (str(getattr(each, "text", each)) for each in values if not isinstance(each, Sweep | None)):
        if "/" not in choice and choice not in options:
            return f"{group} has no choice {choice}; {did_you_mean(choice, options)}"
    plain = (override.input_line or "").lstrip("+")
    if f"Could not override '{group}'. No match in the defaults list" in error:
        return f"{plain}: {group} is added with a plus sign: {for_shell(f'+{plain}')}"
    if f"Multiple values for {group}." in error and override.is_add():
        return f"+{plain}: {group} has a choice already, so it takes no plus sign: {for_shell(plain)}"
    return ""


def _without_multirun(override: Override, cfg: DictConfig) -> str:
    line, key = override.input_line or "", override.key_or_group
    one = for_shell(f"{line.replace('=', '=[', 1)}]")
    node = None if _lacking(cfg, key) else OmegaConf.select(cfg, key, throw_on_missing=False)
    hint = f"; a list is typed in brackets: {one}" if isinstance(node, ListConfig) else ""
    return f"{line} asks for several runs, which takes -m{hint}"


def _lacking(cfg: DictConfig, key: str) -> tuple[str, str] | None:
    """The node that a key ends in, and the part of the key that it does not have."""
    node: Any = cfg
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if (
            not isinstance(node, DictConfig)
            or node._is_none()
            or node._is_missing()
            or node._is_interpolation()
        ):
            return None
        if part not in node.keys():  # noqa: SIM118  # `in` asks for the value, too
            return ".".join(parts[:depth]), part
        node = node._get_node(part)
    return None


def _unknown(path: str, part: str, cfg: DictConfig, loader: ConfigLoaderImpl) -> str:
    """What a node lacks, and which key may have been meant."""
    if not path:
        names = {*map(str, cfg), *loader.repository.get_group_options("", ObjectType.GROUP)} - {"tuned"}
        nodes = [name for name in sorted(names) if isinstance(cfg.get(name), DictConfig)]
        near = [f"{name}.{part}" for name in nodes if part in cfg[name]]
        near = near or [f"{name}.{part}" for name in MAIN_GROUPS if part in _keys_of_choices(name, loader)]
        near += [f"{'+' * (name in ADDED_GROUPS)}{name}" for name in near_names(part, names)]
        hint = f"did you mean {' or '.join(near[:3])}?" if near else "--help lists the groups"
        return f"there is no group or key {part}; {hint}"
    choice = cfg.hydra.runtime.choices.get(path)
    place = f"{path}={choice}" if choice else path
    names = {str(name) for name in OmegaConf.select(cfg, path)} - {"_target_"}
    if near := near_names(part, names):
        hint = f"did you mean {' or '.join(f'{path}.{name}' for name in near)}?"
    elif other := near_names(part, having := _keys_of_choices(path, loader)):
        hint = f"did you mean {path}.{other[0]}, a key of {path}={first_few(having[other[0]], 3)}?"
    else:
        hint = f"there are {', '.join(sorted(names))}" if names else "it has none"
    return f"{place} has no key {part}; {hint}"


def _keys_of_choices(group: str, loader: ConfigLoaderImpl) -> dict[str, list[str]]:
    """Which choices of a group have which keys in their files."""
    having: dict[str, list[str]] = {}
    for option in loader.get_group_options(group) if loader.repository.group_exists(group) else ():
        found = loader.repository.load_config(f"{group}/{option}")
        for key in found.config if found is not None and isinstance(found.config, DictConfig) else ():
            having.setdefault(str(key), []).append(option)
    return having


def _said(error: BaseException) -> str:
    """Hydra's own words in one line."""
    said = str(error).partition("Config search path")[0].removeprefix(_MERGING)
    cause = str(error.__cause__) if isinstance(error.__cause__, OmegaConfBaseException) else ""
    lines = [line.strip().rstrip(".") for line in f"{said}\n{cause}".splitlines()]
    kept = [line for line in lines if line and not line.startswith(_NOISE)]
    return ": ".join(kept) or type(error).__name__
