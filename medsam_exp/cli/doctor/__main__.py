"""What can this machine run? `medsam-exp doctor [EXPERIMENT...] [--json] [--verify]`.

Says what the machine has, which weights and data are there, what each shipped experiment still lacks, and the command
that mends it. Needs no connection and changes nothing.
"""

import argparse
import sys

from medsam_exp.cli.doctor.findings import as_json, examine
from medsam_exp.cli.doctor.page import lines
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError


@stops_when_asked(hint="")
def main(argv: list[str] | None = None) -> int:
    """Print what was found; always 0, unless an experiment does not exist or the configuration cannot be read."""
    parser = argparse.ArgumentParser(
        prog="medsam-exp doctor", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help="look at these alone (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--verify", action="store_true", help="count the checksums of all weights (a minute)")
    given = parser.parse_args(argv)
    try:
        found = examine(given.experiments, verify_all=given.verify)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json_text(as_json(found), indent=1) if given.json else "\n".join(lines(found)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
