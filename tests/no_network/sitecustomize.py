"""Python reads this at its start where the folder is on PYTHONPATH: then only this machine can be spoken to."""

import socket
from typing import Any

_connect, _connect_ex, _resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _refuse(host: Any) -> None:
    if str(host) not in ("", "None", "localhost", "::1", socket.gethostname()) and not str(host).startswith(
        "127."
    ):
        raise ConnectionRefusedError(f"the test refuses connections, here to {host}")


def _checked(address: Any) -> Any:
    if isinstance(address, tuple):  # else a file: a socket of this machine
        _refuse(address[0])
    return address


def _getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
    _refuse(host.decode() if isinstance(host, bytes) else host)
    return _resolve(host, *arguments, **named)


socket.socket.connect = lambda self, address: _connect(self, _checked(address))  # type: ignore[method-assign]
socket.socket.connect_ex = lambda self, address: _connect_ex(self, _checked(address))  # type: ignore[method-assign]
socket.getaddrinfo = _getaddrinfo
