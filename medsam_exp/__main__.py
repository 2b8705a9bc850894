"""`python -m medsam_exp COMMAND` is `medsam-exp COMMAND`."""

import sys

from medsam_exp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
