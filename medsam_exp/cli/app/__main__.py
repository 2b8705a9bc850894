"""Start the app: `medsam-exp app [--port 7860] [--host 127.0.0.1]`, then open the address it prints."""

import argparse
import sys
from collections.abc import Sequence

from medsam_exp.cli.app.server import Options, serve
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.types import UserError


@stops_when_asked(hint="")
def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the app until it is interrupted; return the exit code."""
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="medsam-exp app",
        description="A local web app: find in an image what a text says. Research use only; not a medical device.",
    )
    parser.add_argument(
        "--host", default=usual.host, help="address to listen on; by default this machine alone"
    )
    parser.add_argument("--port", type=int, default=usual.port, help=f"{usual.port}; 0 takes a free one")
    parser.add_argument(
        "--max-mb", type=int, default=usual.megabytes, help=f"of an image file ({usual.megabytes})"
    )
    parser.add_argument(
        "--max-megapixels", type=float, default=usual.megapixels, help=f"of an image ({usual.megapixels})"
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="SETTING",
        help="for every question, as run.py takes them, such as trainer=gpu",
    )
    given = parser.parse_args(arguments)
    options = Options(given.host, given.port, given.max_mb, given.max_megapixels, tuple(given.settings))
    try:
        serve(options)
    except UserError as error:
        sys.exit(f"error: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
