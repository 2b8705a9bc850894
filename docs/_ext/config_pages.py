"""Writes the reference of the configuration: a page for each config group, from its files and the code they name."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from commented_yaml import CommentedYaml, Setting, read_commented_yaml
from docstrings import OWN, Docstring, docstring_of, markdown
from method_facts import facts as facts_of

from medsam_exp.config.schema import config_type
from medsam_exp.stages.pipeline import STAGES, possible_parents

NO_CHOICES = {"hydra/hydra_logging", "hydra/job_logging"}
"""Folders of configuration that say how Hydra speaks; nobody chooses among them."""
_ADDED = {"experiment", "sweep", "component_ablation"}
"""Groups that are added to a command with a plus sign."""
_AXIS = "hydra.sweeper.params."
_MULTIRUN = "hydra.mode"  # of every axis
_SAME_WORDS = 3  # at the beginning of two sentences that say the same
_WORDS = {
    "experiment": "Whole experiments: each selects choices of the other groups. `python run.py +experiment=NAME`.",
    "sweep": "Axes of sweeps; several multiply. `python run.py '+sweep=[saliency,seeds]'`, without `-m`.",
    "component_ablation": "Rows of the paper's Table 4, each with one part more than the row before.",
    "tuned": "Numbers of a method for one dataset and network, or below `network` for any dataset. They apply by "
    "themselves when all parts of a name are chosen together, and every run says that they were used.",
    "hydra/launcher": "How the jobs of a sweep are started; by default one after the other in this process.",
    "wandb_sweep": "Sweeps that W&B's own server steers; files for `wandb sweep`, not choices of a run.",
}
"""What cannot be said in one file of a group."""


def reference_pages(conf: Path) -> dict[str, str]:
    """Markdown of every page, by its place below `reference/`; equal files give equal pages."""
    usual = _usual_choices(conf)
    groups = {group: _files(conf / group) for group in _groups(conf, usual)}
    pages = {f"{_slug(group)}.md": _group_page(group, groups, usual) for group in groups}
    return {"index.md": _index(groups, usual), "run.md": _run_page(conf, usual), **pages}


def _groups(conf: Path, usual: dict[str, str]) -> list[str]:
    """All groups, those of every run first and in their order."""
    found = {path.parent.relative_to(conf).as_posix() for path in conf.glob("*/**/*.yaml")} - NO_CHOICES
    return [group for group in usual if group in found] + sorted(found - set(usual))


def _files(folder: Path) -> dict[str, CommentedYaml]:
    return {path.stem: read_commented_yaml(path) for path in sorted(folder.glob("*.yaml"))}


def _usual_choices(conf: Path) -> dict[str, str]:
    """What a run takes of each group when nothing is typed."""
    entries: list[Any] = yaml.safe_load((conf / "config.yaml").read_text())["defaults"]
    pairs = [next(iter(entry.items())) for entry in entries if isinstance(entry, dict)]
    return {group: choice for group, choice in pairs if " " not in group and "@" not in group}


def _slug(group: str) -> str:
    return group.replace("/", "-")


def _index(groups: dict[str, dict[str, CommentedYaml]], usual: dict[str, str]) -> str:
    lines = [
        "# Config groups",
        "",
        "Every choice of a run is a file `conf/GROUP/CHOICE.yaml`, taken by `GROUP=CHOICE` on the command line; one "
        "value is `GROUP.KEY=VALUE`. These pages are written from those files and from the code that they name, so "
        "they are what this version has. Comments call a number *paper*, *released* (the published code) or *ours*.",
        "",
        "| group | default | choices |",
        "|---|---|---|",
    ]
    for group, files in groups.items():
        choices = ", ".join(f"[`{name}`]({_slug(group)}.md#{_anchor(name)})" for name in files)
        default = f"`{usual[group]}`" if group in usual else "none"
        lines.append(f"| [`{group}`]({_slug(group)}.md) | {default} | {choices} |")
    lines += ["", "```{toctree}", ":hidden:", "", "run", *map(_slug, groups), "```", ""]
    return "\n".join(lines)


def _run_page(conf: Path, usual: dict[str, str]) -> str:
    """Settings of the whole run, and the stages with what decides their results."""
    own = [
        setting
        for setting in read_commented_yaml(conf / "config.yaml").settings
        if not setting.name.startswith("hydra.")
    ]
    lines = [
        "# The run and its stages",
        "",
        "Settings that belong to no group, as `conf/config.yaml` has them:",
        "",
    ]
    lines += _definitions(own, Docstring("", {}), {})
    lines += [
        "## Stages",
        "",
        "`stages=[...]` lists what a run does, in order. What a stage *reads* enters the key of its stored results, "
        "and nothing else does but its parents' keys, the checksums of weights and its version.",
        "",
        "| stage | builds on | reads | true masks | images per batch |",
        "|---|---|---|---|---|",
    ]
    for name, stage in STAGES.items():
        parents = [
            *stage.parents,
            *possible_parents(name),
            *(f"({parent})" for parent in (*stage.optional_parents, *stage.conditional_parents)),
        ]
        reads = ", ".join(
            f"[`{group}`]({_slug(group)}.md)" if group in usual else f"`{group}`" for group in stage.reads
        )
        cells = (
            f"`{name}`",
            ", ".join(parents),
            reads,
            stage.ground_truth or "",
            str(stage.batch_size or ""),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "In brackets: used where it is part of the run. `batch_size.STAGE=N` changes images per batch.",
        "",
    ]
    return "\n".join(lines)


def _group_page(group: str, groups: dict[str, dict[str, CommentedYaml]], usual: dict[str, str]) -> str:
    lines = [f"# `{group}`", "", *_introduction(group, usual)]
    for name, file in groups[group].items():
        lines += _choice(group, name, file, usual.get(group) == name, groups)
    return "\n".join(lines)


def _introduction(group: str, usual: dict[str, str]) -> Iterator[str]:
    if group in _WORDS:
        yield from (_WORDS[group], "")
    readers = [name for name, stage in STAGES.items() if group in stage.reads]
    if readers:
        yield f"Enters the key of the stages {', '.join(f'`{name}`' for name in readers)}."
        yield ""
    if group in usual:
        yield f"Default: `{group}={usual[group]}`."
        yield ""


def _choice(
    group: str, name: str, file: CommentedYaml, is_usual: bool, groups: dict[str, dict[str, CommentedYaml]]
) -> list[str]:
    typed = "" if group in {"tuned", "wandb_sweep"} else f"`{'+' * (group in _ADDED)}{group}={name}`"
    target = file.targets.get("", "")
    bases = list(_bases(group, file, groups))
    described = _described(group, [file, *bases])
    lines = [f"## `{name}`", "", markdown(file.header), ""]
    facts = [typed + (" (default)" if is_usual else "")] if typed else []
    facts += [f"built by `{target}`"] if target else []
    facts.append(f"file {{download}}`conf/{group}/{name}.yaml </../conf/{group}/{name}.yaml>`")
    facts += [f"`{place}` built by `{named}`" for place, named in file.targets.items() if place]
    lines += [", ".join(facts), ""]
    lines += [f"Takes {taken}.", ""] if (taken := ", ".join(_taken(group, file, groups))) else []
    lines += [described.text, ""] if described.text and target else []
    built = target or next((base.targets[""] for base in bases if base.targets.get("")), "")
    for fact in facts_of(group, name, built, file.header):
        lines += [fact, ""]
    inherited = {setting.name: setting.comment for base in reversed(bases) for setting in base.settings}
    return lines + _definitions(file.settings, described, inherited)


def _bases(
    group: str, file: CommentedYaml, groups: dict[str, dict[str, CommentedYaml]]
) -> Iterator[CommentedYaml]:
    """Files of the same group that a file starts from, the nearest first."""
    for entry in file.defaults:
        base = groups[group].get(entry) if isinstance(entry, str) else None
        if base is not None:
            yield base
            yield from _bases(group, base, groups)


def _described(group: str, files: list[CommentedYaml]) -> Docstring:
    """What the code says of a file: the object that it or what it starts from builds, or the settings that it fills."""
    targets = [target for file in files for target in file.targets.values()]
    if targets:
        texts = [docstring_of(target) for target in dict.fromkeys(targets)]
        arguments = {name: text for found in reversed(texts) for name, text in found.arguments.items()}
        return Docstring(texts[0].text if "" in files[0].targets else "", arguments)
    typed = get_type_hints(config_type()).get(group)
    module = getattr(typed, "__module__", "")
    return (
        docstring_of(f"{module}.{typed.__name__}") if module.startswith(OWN) and typed else Docstring("", {})
    )


def _taken(group: str, file: CommentedYaml, groups: dict[str, dict[str, CommentedYaml]]) -> Iterator[str]:
    """Other choices that a file takes, each with a link where it has a page."""
    for entry in file.defaults:
        if entry == "_self_":
            continue
        key, choice = (group, entry) if isinstance(entry, str) else next(iter(entry.items()))
        if isinstance(entry, str):
            choice = entry.partition("@")[0]
        other = str(key).removeprefix("override ").partition("@")[0].lstrip("/") or group
        if other in groups and choice in groups[other]:
            yield f"[`{other}={choice}`]({_slug(other)}.md#{_anchor(choice)})"
        else:
            yield f"`{other}={choice}`"


def _definitions(
    settings: Sequence[Setting], described: Docstring, inherited: Mapping[str, str]
) -> list[str]:
    """One entry a setting with what the code and the file's comment say of it; then those without a word."""
    lines, bare = [], []
    for setting in settings:
        if setting.name == _MULTIRUN:
            continue
        name, value = setting.name.removeprefix(_AXIS), setting.value or "null"
        argument = described.arguments.get(name.split(".")[-1], "")
        comment = setting.comment or ("" if argument else inherited.get(setting.name, ""))
        if said := _sentences(argument, markdown(comment)):
            lines += [f"`{name}`: `{value}`", f": {said}", ""]
        else:
            bare.append(f"`{name}: {value}`")
    return lines + ([f"{'Also s' if lines else 'S'}ets {', '.join(bare)}.", ""] if bare else [])


def _sentences(first: str, second: str) -> str:
    """What the code says, then what the file says, which often tells where a number is from; once where they agree."""
    if not (first and second):
        return first or second
    if first.split()[:_SAME_WORDS] == second.split()[:_SAME_WORDS]:
        return second
    return f"{first.rstrip('.')}. *{second}*"


def _anchor(choice: str) -> str:
    """The place of a choice's heading on its page, as MyST names it."""
    return choice.lower()
