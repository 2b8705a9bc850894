"""Plant known faults one at a time in a copy of the checkout, and tell which test finds each.

A fault that no test finds is a hole in the tests: `python -m tests.planted_faults.run --only ID`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.checkout_copy import copy_checkout
from tests.conftest import SHARED
from tests.planted_faults.listed import Fault, planted_faults

_DEFAULT_TIER = ("-n", "2", "--dist", "loadfile")
_ALL_TIERS = (*_DEFAULT_TIER, "--run-integration")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)


def main() -> None:
    """Plant the chosen faults, print what finds them, and exit with 1 if one is not found."""
    given = _parser().parse_args()
    faults = planted_faults()
    unknown = set(given.only) - {fault.id for fault in faults}
    if unknown:
        sys.exit(f"error: faults.yaml has no fault {', '.join(sorted(unknown))}")
    chosen = [fault for fault in faults if not given.only or fault.id in given.only]
    with tempfile.TemporaryDirectory(prefix="planted_faults_") as folder:
        checkout = _checkout(Path(folder))
        found = {}
        for fault in chosen:
            found[fault.id] = _found_by(fault, checkout, all_tests=given.all_tests)
            print(f"{fault.id}: {found[fault.id] or 'not found'}", flush=True)
    _print_table(chosen, found)
    sys.exit(int(None in found.values()))


def _checkout(folder: Path) -> Path:
    """A copy of the checkout as a repository of its own, beside the real data if there are any."""
    if SHARED.is_dir():
        (folder / SHARED.name).symlink_to(SHARED.resolve())
    checkout = copy_checkout(folder / "checkout")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    return checkout


def _found_by(fault: Fault, checkout: Path, *, all_tests: bool) -> str | None:
    """The first test that fails with the fault: of those near it, then of the default tier, then of all."""
    file = checkout / fault.file
    source = file.read_text()
    file.write_text(fault.planted(source))
    try:
        selections = [fault.near, _DEFAULT_TIER, *([_ALL_TIERS] if all_tests else [])]
        return next(filter(None, (_first_failure(selection, checkout) for selection in selections)), None)
    finally:
        file.write_text(source)


def _first_failure(selection: Sequence[str], checkout: Path) -> str | None:
    """The first test of a selection that fails in a checkout, or None.

    Raises:
        RuntimeError: pytest itself failed.
    """
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    # The list of faults does not hold where one is planted.
    command = [*pytest, "--ignore=tests/planted_faults", *selection]
    settings = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=checkout, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if failure := _FAILED.search(done.stdout):
        return failure[1]
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return None


def _print_table(faults: Sequence[Fault], found: dict[str, str | None]) -> None:
    width = max(len(fault.id) for fault in faults)
    print()
    for fault in faults:
        print(f"{fault.id:<{width}}  {found[fault.id] or 'NOT FOUND'}\n{'':<{width}}  {fault.what}")
    count = sum(test is not None for test in found.values())
    print(f"\n{count} of {len(faults)} planted faults are found")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.planted_faults.run", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="plant these faults only")
    parser.add_argument(
        "--all-tests", action="store_true", help="run the integration tier too, where no default test fails"
    )
    return parser


if __name__ == "__main__":
    main()
