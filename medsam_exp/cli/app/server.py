"""Serves the page on this machine and cleans up behind itself."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medsam_exp.cli.weights.settings import settings
from medsam_exp.runtime.extras import require
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Options:
    """How the app is served.

    Attributes:
        host: address to listen on; 127.0.0.1 is this machine alone.
        port: 0 takes a free one.
        megabytes: larger files are refused.
        megapixels: larger images are refused.
        settings: for every question, as `run.py` takes them.
    """

    host: str
    port: int
    megabytes: int
    megapixels: float
    settings: tuple[str, ...] = ()


@contextmanager
def running_app(options: Options, *, warm: bool = True) -> Iterator[Any]:
    """Serve the app inside a block; afterwards everything that was uploaded or computed is deleted.

    Args:
        options: how it is served.
        warm: load the embedded networks meanwhile, so that the first question is answered sooner.

    Yields:
        Gradio's blocks; `local_url` is the address of the page.

    Raises:
        UserError: Gradio is missing, or the port is taken.
    """
    require("gradio")
    with ExitStack() as stack:
        made = TemporaryDirectory(prefix="medsam_app_", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made))
        # Nothing phones home, and uploads lie in a folder that only the user can read and that goes at the end.
        os.environ |= {
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_TEMP_DIR": str(folder / "uploads"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
        }
        import gradio as gr  # slow; and what it reads of its surroundings it reads now

        from medsam_exp.cli.app.page import build_page, text_of
        from medsam_exp.cli.app.service import Service

        service = stack.enter_context(closing(Service(folder, options.settings, options.megapixels)))
        blocks = build_page(service, str(settings().folder))
        stack.callback(blocks.close, verbose=False)
        blocks.queue(max_size=64)
        try:
            blocks.launch(
                server_name=options.host,
                server_port=options.port or None,
                max_file_size=options.megabytes * 1024**2,
                css=text_of("page.css"),
                theme=_theme(gr),
                share=False,
                quiet=True,
                inbrowser=False,
                prevent_thread_lock=True,
                show_error=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                footer_links=[],
            )
        except OSError as error:
            raise UserError(
                f"port {options.port} of {options.host} is taken: give another one with --port"
            ) from error
        if warm:
            threading.Thread(target=service.begin, daemon=True).start()
        yield blocks


def _theme(gr: Any) -> Any:
    """Fonts of the reader's own system: nothing is fetched from elsewhere."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.teal,
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def serve(options: Options) -> None:
    """Serve until interrupted, saying where."""
    with running_app(options) as blocks:
        print(f"The app is at {blocks.local_url}  (Ctrl+C ends it)", flush=True)
        blocks.block_thread()
