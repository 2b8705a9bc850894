"""Numbers that a search has chosen: where their files lie, and what every later run says of them.

A file of `conf/tuned/` holds numbers of one method for one dataset and network, and a record of which images chose
them, by their masks or without (`tuned_on`). Numbers of saliency are picked up by `DATA_CLIP_SALIENCY.yaml`; those of
a later method by `POSTPROCESS/DATA_CLIP_SALIENCY_CHOICE.yaml` and the like, so that a swapped method never gets
another one's numbers.
Numbers that belong to a network, whatever images it sees, are picked up by `network/CLIP_SALIENCY.yaml`; those for a
dataset win.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.trials import NETWORK, searches, shares_images, space_of, values_of, without_tuned
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.foreign import naming_the_file, read_yaml
from medsam_exp.stages.pipeline import readers, reads_true_masks
from medsam_exp.training.search.space import describe
from medsam_exp.types import UserError


def _tuned_file(cfg: DictConfig, choices: Mapping[str, str], group: str) -> Path:
    """Where the tuned numbers of a group lie for the chosen data and methods."""
    folder, stem = Path(cfg.paths.tuned), "_".join(choices[part] for part in ("data", "clip", "saliency"))
    return (
        folder / f"{stem}.yaml" if group == "saliency" else folder / group / f"{stem}_{choices[group]}.yaml"
    )


def refuse_to_overwrite(cfg: DictConfig, choices: Mapping[str, str]) -> None:
    """Stop before a search whose result would replace numbers that no search has written.

    Raises:
        UserError: such a file is there and `search.overwrite` is false.
    """
    if not searches(cfg) or cfg.search.overwrite:
        return
    for group in _by_group(dict.fromkeys(space_of(cfg))):
        path = _tuned_file(cfg, choices, group)
        if path.is_file() and not _study_of(path, group):
            raise UserError(
                f"{path} was not written by stage 'tune'; allow replacing it with search.overwrite=true, "
                "or choose another folder with paths.tuned"
            )


def write_tuned(
    cfg: DictConfig, choices: Mapping[str, str], record: Mapping[str, Any], *, study: str, date: str
) -> list[Path]:
    """Write the best numbers of a search where later runs with the same data and methods pick them up.

    Args:
        cfg: of the run that searched.
        choices: chosen option of each config group.
        record: of the stage `tune`.
        study: the search's key.
        date: of the run.

    Returns:
        The written files, one for each group.
    """
    facts = {key: record[key] for key in ("data", "split", "images", "metric")}
    with_masks, paths = reads_true_masks(record["metric"]), []
    for group, values in _by_group(record["best"]["values"]).items():
        score = round(record["best"]["score"]["mean"], 4)
        provenance = {**facts, "score": score, "date": date, "study": study, "values": values}
        provenance |= {} if with_masks else {"masks": False}
        content = {group: deepcopy(values), "tuned_on": {group: provenance}}  # a copy, or YAML makes an alias
        head = (
            "# @package _global_\n"
            f"# Best {record['metric']} of {len(record['trials'])} trials "
            f"{'with the masks of' if with_masks else 'without masks on'} {record['data']} ({record['split']}), "
            "found by stage tune.\n"
        )
        paths.append(_tuned_file(cfg, choices, group))
        write_atomically(paths[-1], (head + yaml.safe_dump(content, sort_keys=False)).encode())
    return paths


def tuned_uses(cfg: DictConfig) -> list[str]:
    """A sentence for each group whose numbers in use were chosen with masks."""
    return [
        f"tuned: {describe(values)}, chosen with the masks of {_source(record)}"
        for _, record, values in _in_use(cfg)
        if record["masks"]
    ]


def tuned_without_masks(cfg: DictConfig) -> list[str]:
    """A sentence for each group whose numbers in use were chosen without masks, and whether on the run's images."""
    return [
        f"tuned: {describe(values)}, chosen without masks by the best {record['metric']} on "
        + _source(record)
        + (", the images of this run" if shares_images(record["data"], record["split"], cfg.data) else "")
        for _, record, values in _in_use(cfg)
        if not record["masks"]
    ]


def studies_in_use(cfg: DictConfig) -> list[tuple[str, str]]:
    """Groups whose numbers are in use, and the keys of the searches that found them."""
    return [(group, record["study"]) for group, record, _ in _in_use(cfg) if record.get("study")]


def tuned_elsewhere(cfg: DictConfig) -> Iterator[str]:
    """Numbers must not be scored on the masks that chose them."""
    for group, record, values in _in_use(cfg) if readers(cfg.stages, "metrics") else ():
        if record["masks"] and shares_images(record["data"], record["split"], cfg.data):
            yield (
                f"{describe(values)}: chosen with the masks of {_source(record)}, the images that this run would "
                f"score; score others, or leave the tuned numbers out with {without_tuned(group)}"
            )


def tuned_for_these_data(cfg: DictConfig) -> Iterator[str]:
    """Numbers that were tuned for one folder must not go to another one unseen."""
    for group, record, values in _in_use(cfg) if "mask_values" in cfg.data else ():
        if group != NETWORK and record["data"] != cfg.data.name:
            yield (
                f"{describe(values)}: chosen for {_source(record)}, not for {cfg.data.name}; tune anew, or leave the "
                f"tuned numbers out with {without_tuned(group)}"
            )


def _in_use(cfg: DictConfig) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(Group, record, values by dotted key) of tuned numbers that nothing else has replaced."""
    for group, record in cfg.tuned_on.items():
        values = {
            key: value for key, value in values_of(group, record) if OmegaConf.select(cfg, key) == value
        }
        if values:
            yield str(group), record, values


def _source(record: Mapping[str, Any]) -> str:
    return f"{record['images']} images of {record['data']} ({record['split']})"


def _by_group(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{"saliency.beta": 0.3} as {"saliency": {"beta": 0.3}}."""
    groups = OmegaConf.create()
    for key, value in values.items():
        OmegaConf.update(groups, key, value)
    return OmegaConf.to_container(groups)  # type: ignore[return-value]


def _study_of(path: Path, group: str) -> str | None:
    """The search that wrote a file; None for one written by hand."""
    mend = "mend it, or remove it"
    content = read_yaml(path, mend) or {}
    with naming_the_file(path, "does not say who wrote it", mend):
        study: str | None = content.get("tuned_on", {}).get(group, {}).get("study")
        return study
