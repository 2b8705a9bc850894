"""What published networks were trained on: `training_data.yaml`, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from medsam_exp.runtime.yaml_text import parsed_yaml
from medsam_exp.types import UserError

TRAINING_DATA = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Training:
    """One training of a network, as its publishers describe it.

    Attributes:
        of: what it learnt from, in words.
        kind: what taught it.
        domain: of the images; "unknown" where nobody says whether medical ones are among them.
        source: who says so.
        datasets: that are known to be among them, by name.
        complete: whether a medical dataset that is not named was not learnt from.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    of: str
    kind: Literal["captions", "masks", "boxes", "images"]
    domain: Literal["general", "medical", "unknown"]
    source: str
    datasets: tuple[str, ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class Published:
    """A choice of a config group.

    Attributes:
        trainings: of its network, the first one first.
        holds: config groups whose networks it holds within.
        why: why nothing is known of its training.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    trainings: tuple[Training, ...] = ()
    holds: tuple[str, ...] = ()
    why: str = ""


def read_training_data(path: Path = TRAINING_DATA) -> dict[str, dict[str, Published]]:
    """All choices by config group and name.

    Raises:
        UserError: an entry says something that means nothing.
    """
    content: dict[str, Any] = parsed_yaml(path.read_text())
    return {
        group: {name: _entry(f"{path}: {group}.{name}", row) for name, row in rows.items()}
        for group, rows in content.items()
        if group != "data"
    }


@cache
def training_data() -> Mapping[str, Mapping[str, Published]]:
    """The project's own record, read once."""
    return read_training_data()


@cache
def published_datasets() -> Mapping[str, tuple[str, ...]]:
    """Names of the published datasets behind the choices of config group data."""
    return {name: tuple(found) for name, found in parsed_yaml(TRAINING_DATA.read_text())["data"].items()}


def _entry(place: str, row: Any) -> Published:
    content = {"trainings": row} if isinstance(row, list) else row
    try:
        return _adapter().validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{place}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@cache
def _adapter() -> TypeAdapter[Published]:
    return TypeAdapter(Published)
