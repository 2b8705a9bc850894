"""A file at Google Drive, through gdown, which knows its warnings and confirmations; or what to click by hand."""

import io
from contextlib import redirect_stderr

from medsam_exp.cli.weights.partial import PartialFile
from medsam_exp.cli.weights.transfer import Advance, Patience, SourceError
from medsam_exp.runtime.extras import require


def from_drive(part: PartialFile, advance: Advance, patience: Patience, proxy: str | None) -> None:
    """Fetch a file from Google Drive; gdown keeps its own part beside ours and goes on with it.

    Raises:
        SourceError: Google refuses, or cannot be reached.
        UserError: the disk is full, or gdown is not installed.
    """
    require("gdown")
    import gdown
    import requests
    from gdown.exceptions import DownloadError

    part.restart()
    part.make_room(None)
    whole = part.path.with_name(f"{part.path.name}.drive")
    try:
        with (
            part.explaining_full_disk(),
            redirect_stderr(io.StringIO()),
        ):  # gdown prints a proxy with its password
            gdown.download(
                id=part.wanted.drive,
                output=str(whole),
                quiet=True,
                proxy=proxy,
                use_cookies=False,
                resume=True,
                progress=advance,
                timeout=(10.0, patience.silence_s),
                retries=patience.attempts - 1,
            )
    except (DownloadError, requests.RequestException) as error:
        raise SourceError(_why(error)) from error
    whole.replace(part.path)


def by_hand(part: PartialFile) -> str:
    """What a reader does where a program may not."""
    return (
        f"Google may refuse programs after many downloads: open {part.wanted.address} in a browser, click "
        f'Download and "Download anyway", and move the file to {part.target}'
    )


def _why(error: Exception) -> str:
    import requests

    chain = (error, error.__cause__, error.__context__)
    if any(isinstance(one, requests.ConnectionError | requests.Timeout) for one in chain):
        return "cannot be reached"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"is refused ({lines[0].rstrip('.:') if lines else type(error).__name__})"
