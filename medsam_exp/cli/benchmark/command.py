"""The command `medsam-exp benchmark`."""

from pathlib import Path

from medsam_exp.cli.benchmark import m2ib, sam_encoder
from medsam_exp.cli.benchmark.arithmetic import rates_of
from medsam_exp.cli.benchmark.machine_setting import as_record, setting
from medsam_exp.cli.benchmark.rows import print_rows
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.json_text import json_text


def benchmark_machine(device: str, out: Path | None) -> None:
    """Time the full-size networks against plain references on one device and print the table.

    Args:
        device: "cpu", "cuda", or "auto" for the GPU where there is one.
        out: a JSON file to write, too.

    Raises:
        UserError: there is no such device.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UserError(
            f"--device {device} is not here; take cpu{', cuda' * torch.cuda.is_available()} or auto"
        )
    where = setting({device: rates_of(device)})
    rows = [*m2ib.rows(device), *sam_encoder.rows(device)]
    print_rows("plain references and ours", rows)
    print(where.sentence)
    if out is not None:
        write_atomically(out, json_text(as_record(rows, where), indent=1).encode())
