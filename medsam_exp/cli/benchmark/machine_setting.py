"""The machine that rows were measured on, in a sentence and as JSON."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.cli.doctor.machine import look
from medsam_exp.runtime.native_bf16 import processor_facts

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""That decide how fast matrices are multiplied."""


@dataclass(frozen=True)
class Setting:
    """Where and when rows were measured.

    Attributes:
        processor: its name.
        instructions: of `_INSTRUCTIONS`, those that it has.
        cores: that this process may use.
        gpus: names.
        load: programs that wanted a processor at the start, mean of one minute; None where unknown.
        versions: of packages.
        python: version.
        when: UTC, ISO 8601.
        rates: TFLOP/s of a linear layer, by device and number format.
    """

    processor: str
    instructions: tuple[str, ...]
    cores: int
    gpus: tuple[str, ...]
    load: float | None
    versions: dict[str, str]
    python: str
    when: str
    rates: dict[str, dict[str, float]]

    @property
    def sentence(self) -> str:
        """The setting in a line."""
        load = "" if self.load is None else f"; load {self.load:.1f}"
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        parts = [
            f"{self.processor}, {self.cores} cores",
            ", ".join(self.instructions),
            *self.gpus,
            *(
                f"{device} {name} {rate:.2f} TFLOP/s"
                for device, rates in self.rates.items()
                for name, rate in rates.items()
            ),
            f"Python {self.python}, {versions}",
        ]
        return "; ".join(part for part in parts if part) + load


def setting(rates: dict[str, dict[str, float]]) -> Setting:
    """This machine, now.

    Args:
        rates: as measured.
    """
    machine, processor = look({}), processor_facts()
    flags = processor.get("flags", "").split()
    return Setting(
        processor=processor.get("model name", platform.machine()),
        instructions=tuple(each for each in _INSTRUCTIONS if each in flags),
        cores=machine.cores,
        gpus=tuple(gpu.name for gpu in machine.gpus),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions=machine.versions,
        python=machine.python,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        rates=rates,
    )


def as_record(rows: Sequence[Row], where: Setting) -> dict[str, Any]:
    """Rows and setting for JSON."""
    return {"machine": asdict(where), "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows]}
