"""The tools of an assistant, served on the pipes of this process."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import medsam_exp
from medsam_exp.cli.mcp.protocol import Server
from medsam_exp.cli.mcp.tools import RESEARCH_USE, Tools

_INSTRUCTIONS = (
    "Text-driven segmentation of medical images and volumes. Call info for the choices of networks and methods, "
    "segment for a mask of an image or volume and a text, evaluate for scores of masks. Always pass on caution and "
    f"research_use. {RESEARCH_USE}"
)


def serve_tools(root: Path, out: Path, settings: Sequence[str], megabytes: float, megapixels: float) -> None:
    """Answer an assistant on stdin and stdout until it closes them.

    Whatever else is printed, by libraries too, goes to stderr.

    Args:
        root: nothing outside is read.
        out: for masks.
        settings: of every segmentation.
        megabytes: larger files are refused.
        megapixels: larger images are refused.

    Raises:
        UserError: the root is no folder.
    """
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with own, Tools(root, out, settings, megabytes, megapixels) as tools:
        Server("medsam-exp", medsam_exp.__version__, _INSTRUCTIONS, tools.all(), own).serve(sys.stdin.buffer)
