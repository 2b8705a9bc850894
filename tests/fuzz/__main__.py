"""Read mutated files by every reader and print what came of them: `python -m tests.fuzz --count 20000 --seed 0`."""

import argparse
import contextlib
import logging
import sys
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

from tests.fuzz.guard import Result, results
from tests.fuzz.reader import Reader, write_files
from tests.fuzz.readers import all_readers

_OUTCOMES = ("refused", "valid", "raw", "slow", "big")
_WANTED = ("refused", "valid")


def main() -> None:
    """Print the table; exit with 1 where an input was neither read nor refused in one sentence."""
    given = _parser().parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    readers = [
        reader
        for reader in all_readers()
        if not given.only or any(word in reader.name for word in given.only)
    ]
    whole = sum(1 / reader.cost for reader in readers)
    shares = {reader.name: max(1, round(given.count / whole / reader.cost)) for reader in readers}
    cases = [(reader, given.first + number) for reader in readers for number in range(shares[reader.name])]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    faults: dict[tuple[str, str], list[tuple[Reader, int, Result]]] = defaultdict(list)
    started = last = time.perf_counter()
    spent: dict[str, float] = defaultdict(float)
    for (reader, number), result in zip(cases, results(cases, given.seed), strict=True):
        counts[reader.name][result.outcome] += 1
        spent[reader.name] += time.perf_counter() - last
        last = time.perf_counter()
        if number == given.first + shares[reader.name] - 1:
            print(
                f"{reader.name}: {dict(counts[reader.name])}, {spent[reader.name]:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        if result.outcome not in _WANTED:
            place = result.said.rpartition(" at ")[2] if result.outcome == "raw" else result.outcome
            faults[reader.name, place].append((reader, number, result))
    _print_table(counts, spent)
    for (name, _), found in faults.items():
        reader, number, result = found[0]
        print(f"{name} {number} ({len(found)}x): {result.outcome}: {result.said[:250]}")
        if given.keep is not None:
            with contextlib.suppress(FileExistsError):
                write_files(
                    reader.mutated(number, given.seed), given.keep / f"{name.replace(' ', '_')}_{number}"
                )
    print(f"{time.perf_counter() - started:.0f} s")
    sys.exit(int(bool(faults)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs in all, fewer for costly readers")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs")
    parser.add_argument("--first", type=int, default=0, help="number of each reader's first input")
    parser.add_argument("--only", nargs="*", default=[], help="readers whose names hold one of these words")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that were found")
    return parser


def _print_table(counts: dict[str, Counter[str]], spent: dict[str, float]) -> None:
    width = max(map(len, counts))
    print(f"{'reader':{width}}" + "".join(f"{name:>9}" for name in _OUTCOMES) + "  seconds")
    total: Counter[str] = sum(counts.values(), Counter())
    for name, own in [*counts.items(), ("all", total)]:
        print(
            f"{name:{width}}"
            + "".join(f"{own[outcome]:9}" for outcome in _OUTCOMES)
            + f"{spent.get(name, sum(spent.values())):9.0f}"
        )


if __name__ == "__main__":
    main()
