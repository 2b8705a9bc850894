"""Download published weights into the folder of weights: once, complete and verified."""

import io
import logging
from contextlib import ExitStack, redirect_stderr
from functools import cached_property
from pathlib import Path

import httpx
from rich.filesize import decimal

from medsam_exp.cli.weights.catalogue import PublishedFile, Weights
from medsam_exp.cli.weights.local_cache import file_state, known_digests
from medsam_exp.cli.weights.partial import PartialFile, SourceError, WrongContentError
from medsam_exp.cli.weights.settings import Settings, shown, sources
from medsam_exp.cli.weights.transfer import Advance, Patience, make_client, transfer
from medsam_exp.runtime.console import byte_progress
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.locks import waiting_lock
from medsam_exp.types import UserError

log = logging.getLogger(__name__)

_CHUNK = 1 << 20


class Downloader:
    """Fetches published weights.

    Args:
        settings: where from and where to.
        patience: how long each source is tried.
    """

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self._settings, self._patience = settings, patience or Patience()

    @cached_property
    def _client(self) -> httpx.Client:
        return make_client(self._settings.proxy, self._patience)

    def get(self, weights: Weights) -> list[Path]:
        """Fetch what is missing of a network's files.

        Returns:
            Those that were fetched now.

        Raises:
            UserError: a file cannot be had, is not the published one, or does not fit on the disk; or a program is not
                given it, and no mirror is named.
        """
        here = all(self._is_there(file) for file in weights.files)
        if weights.by_hand and not here and not self._settings.mirrors:
            raise UserError(weights.by_hand)
        return [path for file in weights.files if (path := self.get_file(file)) is not None]

    def get_file(self, file: PublishedFile) -> Path | None:
        """Fetch one file, unless it is there; another process that fetches it is waited for.

        Raises:
            UserError: as `get`.
        """
        if self._is_there(file):
            return None
        target = self._settings.folder / file.path
        lock = target.with_name(f".{target.name}.lock")
        with ExitStack() as stack:
            try:
                waits = f"{target.name}: waits for another process that fetches it"
                stack.enter_context(waiting_lock(lock, waits))
            except OSError as error:
                raise UserError(
                    f"{target.parent} cannot be written to ({error.strerror}); set MEDSAM_WEIGHTS (or paths.weights) "
                    "to a folder that can."
                ) from error
            if self._is_there(file):  # the process that was waited for has fetched it
                return None
            return self._fetch(file, PartialFile(target, file))

    def _is_there(self, file: PublishedFile) -> bool:
        with known_digests(self._settings.folder) as digests:
            found = file_state(file, self._settings.folder, digests)
        if found.kind == "wrong":
            raise UserError(
                f"{found.note}: it is not the published file, and nothing was changed; move it away and give the "
                "same command again."
            )
        return found.usable

    def _fetch(self, file: PublishedFile, part: PartialFile) -> Path:
        """Try each source until one gives the published file."""
        reasons = []
        for source in sources(file, self._settings.mirrors):
            try:
                with byte_progress(file.name) as advance:
                    return self._from(source, part, advance)
            except SourceError as failure:
                reasons.append(f"{shown(source)} {failure}")
        raise UserError(f"{file.path} cannot be fetched: {'; '.join(reasons)}. {_advice(part)}")

    def _from(self, source: str, part: PartialFile, advance: Advance) -> Path:
        """From one source; a file in several parts that turned out wrong is fetched anew."""
        part.continued = part.size > 0  # by an earlier command, or by the source before this one
        self._fill(source, part, advance)
        continued = part.continued
        try:
            return part.finish()
        except WrongContentError:
            if not continued:
                raise
            log.info("%s: the part that was there did not belong to it; starts anew", part.target.name)
            self._fill(source, part, advance)
            return part.finish()

    def _fill(self, source: str, part: PartialFile, advance: Advance) -> None:
        if not source.startswith(("http://", "https://")):
            _copy(Path(source.removeprefix("file://")).expanduser(), part, advance)
        elif source == part.wanted.address and part.wanted.drive is not None:
            _from_drive(part, advance, self._patience, self._settings.proxy)
        else:
            transfer(source, part, self._client, advance, self._patience)


def _advice(part: PartialFile) -> str:
    """What a reader can do where no source gives a file."""
    if part.wanted.drive is not None:
        return (
            f"Google may refuse programs after many downloads: open {part.wanted.address} in a browser, click "
            f'Download and "Download anyway", and move the file to {part.target}.'
        )
    kept = f" ({decimal(part.size)} are kept)" if part.size else ""
    return (
        f"Give the same command again when the connection is better{kept}, name a mirror "
        f"(paths.mirrors or MEDSAM_MIRRORS), or put the file there by hand: {part.target}."
    )


def _copy(source: Path, part: PartialFile, advance: Advance) -> None:
    """From a disk; always anew, as that is quick."""
    part.restart()
    try:
        total = source.stat().st_size
        part.make_room(total)
        with source.open("rb") as file:
            while data := file.read(_CHUNK):
                part.append(data)
                advance(part.size, total)
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})") from error


def _from_drive(part: PartialFile, advance: Advance, patience: Patience, proxy: str | None) -> None:
    """Fetch a file from Google Drive by gdown, which keeps its own part beside ours and goes on with it."""
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
        raise SourceError(_why_not_from_drive(error)) from error
    whole.replace(part.path)


def _why_not_from_drive(error: Exception) -> str:
    import requests

    chain = (error, error.__cause__, error.__context__)
    if any(isinstance(one, requests.ConnectionError | requests.Timeout) for one in chain):
        return "cannot be reached"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"is refused ({lines[0].rstrip('.:') if lines else type(error).__name__})"
