"""Serves the page on this machine and cleans up behind itself."""

import inspect
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from medsam_exp.cli.app.own_page import OwnPageOnly
from medsam_exp.cli.weights.settings import settings as weight_settings
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.temporary_files import temporary_folder
from medsam_exp.types import UserError

_UNTRANSLATED = {"common.upload": "Upload", "common.complete": "Complete"}
"""Words of Gradio's that it shows by their keys."""


@contextmanager
def running_app(
    host: str,
    port: int,
    megabytes: int,
    megapixels: float,
    settings: Sequence[str] = (),
    *,
    names: Sequence[str] = (),
    warm: bool = True,
) -> Iterator[Any]:
    """Serve the app inside a block; afterwards everything that was uploaded or computed is deleted.

    Args:
        host: address to listen on; 127.0.0.1 is this machine alone.
        port: 0 takes a free one.
        megabytes: larger files are refused.
        megapixels: larger images are refused.
        settings: for every question, as `run.py` takes them.
        names: host names under which a browser may ask for the page, beside `host`, localhost and addresses in digits.
        warm: load the embedded networks meanwhile, so that the first question is answered sooner.

    Yields:
        Gradio's blocks; `local_url` is the address of the page.

    Raises:
        UserError: Gradio is missing, the port is taken, or the page does not answer.
    """
    require("gradio")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(temporary_folder("medsam_app_")))
        # Nothing phones home, and uploads lie in a folder that only the user can read and that goes at the end.
        os.environ |= {
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_TEMP_DIR": str(folder / "uploads"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
        }
        with _no_stubs_written():
            import gradio as gr  # slow; and what it reads of its surroundings it reads now

        from starlette.middleware import Middleware

        from medsam_exp.cli.app.page import build_page, text_of
        from medsam_exp.cli.app.service import Service

        service = stack.enter_context(closing(Service(folder, settings, megapixels)))
        blocks = build_page(service, str(weight_settings().folder))
        stack.callback(blocks.close, verbose=False)
        blocks.queue(max_size=64)
        try:
            blocks.launch(
                server_name=host,
                server_port=port or None,
                max_file_size=megabytes * 1024**2,
                css=text_of("page.css"),
                theme=_theme(gr),
                i18n=gr.I18n(en=_UNTRANSLATED),
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
                app_kwargs={"middleware": [Middleware(OwnPageOnly, names={host, "localhost", *names})]},
            )
        except OSError as error:
            raise UserError(f"port {port} of {host} is taken: give another one with --port") from error
        except ValueError as error:  # Gradio's, whose own request to the page was not answered
            raise UserError(
                f"the app's own page at {host} is not answered in time: wait until this machine is less busy, or let "
                "no proxy stand before it (NO_PROXY=localhost,127.0.0.1), and start it again"
            ) from error
        if warm:
            threading.Thread(target=service.begin, daemon=True).start()
        yield blocks


@contextmanager
def _no_stubs_written() -> Iterator[None]:
    """Import Gradio in 0.6 of the time, and leave its installed files alone.

    For each of its components Gradio parses its own code and renews a stub for editors beside it, unless Python cannot
    say in which file the component stands.
    """

    def unknown(_: object) -> str:
        raise OSError

    told = inspect.getfile
    inspect.getfile = unknown  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = told


def _theme(gr: Any) -> Any:
    """Fonts of the reader's own system: nothing is fetched from elsewhere."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.teal,
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
