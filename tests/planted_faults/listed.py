"""The list of planted faults."""

from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Fault:
    """One fault, which the code still runs with.

    Attributes:
        id: short name.
        what: one sentence on what becomes wrong.
        file: where it is planted, relative to the checkout.
        before: text that stands once in `file`.
        after: what replaces it.
        near: paths of the tests most likely to find it, relative to the checkout.
    """

    id: str
    what: str
    file: Path
    before: str
    after: str
    near: tuple[str, ...]

    def planted(self, source: str) -> str:
        """The source with the fault in it.

        Raises:
            ValueError: its place is not there, or not there alone.
        """
        count = source.count(self.before)
        if count != 1:
            raise ValueError(f"{self.file} has {self.before!r} {count} times: mend the fault {self.id!r}")
        return source.replace(self.before, self.after)


def planted_faults() -> list[Fault]:
    """All faults of faults.yaml, in its order."""
    entries = yaml.safe_load(Path(__file__).with_name("faults.yaml").read_text())
    return [
        Fault(**{**entry, "file": Path(entry["file"]), "near": tuple(entry["near"])}) for entry in entries
    ]
