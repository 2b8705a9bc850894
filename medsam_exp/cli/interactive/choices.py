"""What can be chosen for one image, read from conf/: each choice with its comment, and what it still lacks."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medsam_exp.cli.compose import register_resolvers
from medsam_exp.clip.hub import local_files_only
from medsam_exp.config.build import build, weight_files
from medsam_exp.runtime.conf_folder import conf_folder, head_comment
from medsam_exp.types import UserError

_NETWORKS = ("clip", "sam", "text_segmenter")


@dataclass(frozen=True)
class Choice:
    """One file of a config group.

    Attributes:
        group: such as "sam".
        name: such as "vit_b".
        comment: its first line, what it is.
    """

    group: str
    name: str
    comment: str


def choices_of(group: str) -> tuple[Choice, ...]:
    """The choices of a group that make sense for one image, in the order of their names, controls last.

    Left out are those that need a further setting, and networks with random weights.
    """
    found = []
    for path in sorted((conf_folder() / group).glob("*.yaml")):
        values = OmegaConf.to_container(_node(path))  # not resolved
        assert isinstance(values, dict)
        if "???" in values.values() or "random" in (values.get("weights"), values.get("checkpoint")):
            continue
        found.append(Choice(group, path.stem, head_comment(path)))
    return tuple(sorted(found, key=lambda choice: choice.comment.startswith("Control")))


def default_of(group: str) -> str:
    """The choice of a group when nothing is typed."""
    defaults = OmegaConf.to_container(OmegaConf.load(conf_folder() / "config.yaml"))["defaults"]  # type: ignore[call-overload, index]
    return next(str(entry[group]) for entry in defaults if isinstance(entry, dict) and group in entry)


def problem_of(choice: Choice, weights: str) -> str | None:
    """What a choice lacks on this machine and how to get it, in one sentence; None when it can be used.

    Nothing is downloaded, and no network is loaded.

    Args:
        choice: of one of the groups.
        weights: folder of downloaded weights, `paths.weights`.
    """
    if choice.group not in (*_NETWORKS, "postprocess"):  # some choices of the latter need a further package
        return None
    register_resolvers()
    node = _node(conf_folder() / choice.group / f"{choice.name}.yaml")
    # Whether the networks that a choice works with are here is said of them.
    others = {name: None for name in ("clip", "sam", "fusion") if name in node}
    whole = OmegaConf.create({choice.group: node, "paths": {"weights": weights}, "seed": 0, **others})
    try:
        with local_files_only():
            if choice.group in _NETWORKS:
                weight_files(whole[choice.group])
            else:
                build(whole[choice.group])
    except UserError as error:
        return f"{str(error).rstrip('.')}.".replace("weights get NAME", f"weights get {choice.name}")
    return None


def _node(path: Path) -> DictConfig:
    """A choice's settings with those of the choices that it builds on."""
    node = OmegaConf.load(path)
    assert isinstance(node, DictConfig)
    base = [entry for entry in node.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    parents = [
        _node(path.with_name(f"{name}.yaml")) for name in base if (path.parent / f"{name}.yaml").is_file()
    ]
    merged = OmegaConf.merge(*parents, node)
    assert isinstance(merged, DictConfig)
    return merged
