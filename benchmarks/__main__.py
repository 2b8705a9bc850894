"""The benchmarks that state ours against a plain reference, in one table: `python -m benchmarks`."""

import argparse
from importlib import import_module
from pathlib import Path

from medsam_exp.cli.benchmark.arithmetic import rates_of
from medsam_exp.cli.benchmark.machine_setting import as_record, setting
from medsam_exp.cli.benchmark.rows import Row, print_rows
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text

BENCHMARKS = {
    "m2ib": "medsam_exp.cli.benchmark.m2ib",
    "sam_encoder": "medsam_exp.cli.benchmark.sam_encoder",
    **{
        path.stem.removeprefix("bench_"): f"benchmarks.{path.stem}"
        for path in sorted(Path(__file__).parent.glob("bench_*.py"))
        if "\ndef rows(" in path.read_text()
    },
}


def main() -> None:
    """Measure, print the table with the machine below it, write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; by default all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    where = setting({"cpu": rates_of("cpu")})
    rows: list[Row] = []
    for name in options.names or BENCHMARKS:
        rows += import_module(BENCHMARKS[name]).rows()
    print_rows("plain references and ours", rows)
    print(where.sentence)
    if options.json:
        write_atomically(options.json, json_text(as_record(rows, where), indent=1).encode())


if __name__ == "__main__":
    main()
