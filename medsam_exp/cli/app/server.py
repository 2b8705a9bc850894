"""Serves the page on this machine and cleans up behind itself."""

import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class App:
    """The app while it is served; as a block it is closed at the end, and all its files are deleted.

    Args:
        options: how it is served.
        warm: load the embedded networks meanwhile, so that the first question is answered sooner.

    Attributes:
        address: of the page.

    Raises:
        UserError: Gradio is missing, or the port is taken.
    """

    def __init__(self, options: Options, *, warm: bool = True) -> None:
        require("gradio")
        self._folder = Path(tempfile.mkdtemp(prefix="medsam_app_"))
        _quiet_surroundings(self._folder)
        import gradio as gr  # slow; and what it reads of its surroundings it reads now

        from medsam_exp.cli.app.page import build_page, text_of
        from medsam_exp.cli.app.service import Service
        from medsam_exp.cli.interactive.choices import weights_folder

        self._service = Service(self._folder, options.settings, options.megapixels)
        self._blocks = build_page(self._service, weights_folder())
        self._blocks.queue(max_size=64)
        try:
            _, self.address, _ = self._blocks.launch(
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
            self.close()
            raise UserError(
                f"port {options.port} of {options.host} is taken: give another one with --port"
            ) from error
        if warm:
            threading.Thread(target=self._service.begin, daemon=True).start()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._blocks.block_thread()

    def close(self) -> None:
        """Stop serving and delete everything that was uploaded or computed."""
        self._blocks.close(verbose=False)
        self._service.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "App":
        """Use the app as a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _quiet_surroundings(folder: Path) -> None:
    """Nothing phones home, and uploads lie in a folder that only the user can read and that goes at the end."""
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }


def _theme(gr: Any) -> Any:
    """Fonts of the reader's own system: nothing is fetched from elsewhere."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.teal,
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def serve(options: Options) -> None:
    """Serve until interrupted, saying where."""
    with App(options) as app:
        print(f"The app is at {app.address}  (Ctrl+C ends it)", flush=True)
        app.wait()
