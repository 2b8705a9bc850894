"""Resumable download over HTTP into a partial file, by range requests (RFC 9110).

That the parts belong together is seen by the published checksum, else by the server's validator. It starts anew where
a server knows no ranges or the file has changed. Written by hand, as `huggingface_hub` fetches through its own hub
alone, and many of the published files lie elsewhere.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from rich.filesize import decimal

from medsam_exp.cli.weights.partial import PartialFile, SourceError
from medsam_exp.types import UserError

_LATER = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT_S = 60.0
Advance = Callable[[int, int | None], None]
"""Called with the bytes that are there, and with the total where that is known."""


class _TemporaryError(Exception):
    """A failure that may be temporary."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How long a source is tried.

    Attributes:
        attempts: that bring nothing, one after the other, before a source is given up.
        connects: the same, while it was never reached at all.
        first_wait_s: before the second attempt; doubled each time (exponential backoff).
        silence_s: without a byte before a connection counts as cut.
    """

    attempts: int = 6
    connects: int = 2
    first_wait_s: float = 1.0
    silence_s: float = 30.0


def make_client(proxy: str | None, patience: Patience) -> httpx.Client:
    """A client that follows redirects, and takes its proxy from the shell (HTTPS_PROXY, NO_PROXY) unless told.

    Raises:
        UserError: the proxy cannot be used.
    """
    silence = patience.silence_s
    try:
        return httpx.Client(
            follow_redirects=True,
            timeout=httpx.Timeout(silence, connect=min(silence, 10.0)),
            proxy=proxy,
            event_hooks={"response": [_refuse_downgrade]},
        )
    except (ImportError, ValueError) as error:  # never its own words: they may have the proxy's password
        whose = (
            "MEDSAM_PROXY (or paths.proxy)" if proxy else "the proxy of the shell (HTTPS_PROXY, ALL_PROXY)"
        )
        raise UserError(
            f"{whose} cannot be used; it should be http://HOST:PORT or https://HOST:PORT, and one of SOCKS needs the "
            "package socksio"
        ) from error


def _refuse_downgrade(response: httpx.Response) -> None:
    """Refuse a redirect from https to http, where anybody on the way can change the file."""
    if not response.has_redirect_location:
        return
    onward = response.url.join(response.headers["Location"])
    if response.url.scheme == "https" and onward.scheme != "https":
        raise SourceError(f"leads to {onward.host} without encryption")


def transfer(url: str, part: PartialFile, client: httpx.Client, advance: Advance, patience: Patience) -> None:
    """Fetch what is missing of a file.

    Args:
        url: where it is.
        part: what is there; grows.
        client: of httpx.
        advance: called with the progress.
        patience: how long to try.

    Raises:
        SourceError: the source does not have it, or cuts the connection again and again.
        UserError: the disk is full.
    """
    failures, reached = 0, part.size > 0
    while True:
        before = part.size
        try:
            _request(url, part, client, advance)
            return
        except (httpx.TransportError, _TemporaryError) as error:
            reached = reached or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            failures = 1 if part.size > before else failures + 1
            if failures >= (patience.attempts if reached else patience.connects):
                raise SourceError(_why(error, part)) from error
            asked = error.wait_s if isinstance(error, _TemporaryError) else 0.0
            time.sleep(min(max(asked, patience.first_wait_s * 2 ** (failures - 1)), _LONGEST_WAIT_S))
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise SourceError(str(error)) from error


def _request(url: str, part: PartialFile, client: httpx.Client, advance: Advance) -> None:
    """One request; returns when the file is complete as far as the server says."""
    if part.wanted.size is not None and part.size == part.wanted.size:
        return
    headers = {"Accept-Encoding": "identity", **_range(part)}
    with client.stream("GET", url, headers=headers) as response:
        found = _total(response)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if found == part.size:
                return
            part.restart()
            raise _TemporaryError("has a shorter file than the part that is here")
        _check_response(response)
        if part.wanted.size is not None and found not in (None, part.wanted.size):
            raise SourceError(f"has a file of {found} bytes, and the published one has {part.wanted.size}")
        _align(part, response)
        total = part.wanted.size or found
        part.make_room(total)
        advance(part.size, total)
        for data in response.iter_raw():  # as it arrives: bytes held back would be lost in a cut
            part.append(data)
            advance(part.size, total)
    if total is not None and part.size < total:
        raise _TemporaryError("cuts the connection")


def _range(part: PartialFile) -> dict[str, str]:
    """Headers that ask for the rest alone, where it can be found out whether it belongs to what is there."""
    if part.wanted.sha256 is None and part.validator is None:
        part.restart()
    if part.size == 0:
        return {}
    condition = {} if part.wanted.sha256 or part.validator is None else {"If-Range": part.validator}
    return {"Range": f"bytes={part.size}-", **condition}


def _check_response(response: httpx.Response) -> None:
    """Raise where what follows is not the file."""
    status = response.status_code
    if status in _LATER:
        asked = response.headers.get("Retry-After", "")
        wait_s = float(asked) if asked.isdigit() else 0.0
        raise _TemporaryError(f"answers {status} {response.reason_phrase}", wait_s)
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise SourceError(f"answers {status} {response.reason_phrase}")
    if "text/html" in response.headers.get("Content-Type", ""):
        raise SourceError("gives a web page instead of the file (a log-in, a notice, or a proxy's)")


def _align(part: PartialFile, response: httpx.Response) -> None:
    """Prepare the part for the body of a response: its rest, or all of it."""
    tag = response.headers.get("ETag")  # weak ones are not allowed for ranges
    validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        changed = part.wanted.sha256 is None and validator != part.validator
        if start is None or int(start[1]) != part.size or changed:
            part.restart()
            raise _TemporaryError("changes the file")
        part.continued = True
        return
    part.restart()  # the server knows no ranges, or has another file by now
    if part.wanted.sha256 is None and validator is not None:
        part.remember(validator)


def _total(response: httpx.Response) -> int | None:
    if match := re.search(r"/(\d+)$", response.headers.get("Content-Range", "")):
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    whole = response.status_code == httpx.codes.OK and "Content-Encoding" not in response.headers
    return int(length) if whole and length.isdigit() else None


def _why(error: Exception, part: PartialFile) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"cannot be reached ({str(error) or 'no answer'})"
    if isinstance(error, httpx.ProxyError):
        return f"is behind a proxy that refuses ({error})"
    if isinstance(error, _TemporaryError):
        what = str(error)
    else:
        what = "stays silent" if isinstance(error, httpx.TimeoutException) else "cuts the connection"
    return f"{what} again and again, after {decimal(part.size)}"
