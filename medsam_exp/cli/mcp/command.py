"""The options of `medsam-exp mcp`; what works is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from medsam_exp.cli.interactive.limits import MEGABYTES, MEGAPIXELS


def mcp(
    root: Annotated[
        Path, typer.Argument(help="Folder whose images and volumes may be read; nothing else is.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="SETTING", help="For every segmentation, such as trainer=gpu."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="For masks, instead of ROOT/segmented."),
    ] = None,
    max_mb: Annotated[
        int, typer.Option(help="Size of a file, or of a volume's files together, at most.")
    ] = MEGABYTES,
    max_megapixels: Annotated[
        float, typer.Option(help="Pixels of an image, or voxels of a volume, at most.")
    ] = MEGAPIXELS,
) -> None:
    """Serve assistants on stdin and stdout (MCP).

    The Model Context Protocol (JSON-RPC 2.0, a message a line) with the tools segment, evaluate and info. Masks are
    written; images, masks and texts leave this machine only if the assistant sends them.
    """
    from medsam_exp.cli.mcp.pipes import serve_tools

    serve_tools(root, out or root / "segmented", settings or (), max_mb, max_megapixels)
