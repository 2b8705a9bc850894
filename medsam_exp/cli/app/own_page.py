"""Answers the app's own page alone: not another site's script, nor a name that somebody points at this machine.

A page of a stranger can have its name resolve to 127.0.0.1 (DNS rebinding) and then read what is served there, or
send a request across. A browser tells both: the first by the header Host, the second by Origin.
"""

import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

_REFUSED = 421  # misdirected request
_FOREIGN = 403


class OwnPageOnly:
    """ASGI middleware that refuses requests for other hosts and from other sites.

    Args:
        app: what answers the rest.
        names: host names that are this app's; addresses in digits always are, as no site can have them as its name.
    """

    def __init__(self, app: Any, names: Collection[str]) -> None:
        self._app, self._names = app, {name.lower() for name in names}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or refuse."""
        status = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if status is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send(
                {"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]}
            )
            await send({"type": "http.response.body", "body": b""})

    def _refusal(self, scope: Any) -> int | None:
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return _REFUSED
        # The scheme may differ, where a proxy speaks https for the app.
        is_own = all(_place(origin) == hosts[0].lower() for origin in origins)
        return None if is_own else _FOREIGN

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_address(name)


def _place(origin: str) -> str | None:
    """Host and port of an Origin; None where it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
