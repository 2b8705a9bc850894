"""Refuse every socket, as a machine without a network does; no offline switch of a library helps."""

import socket

import huggingface_hub.constants
import pytest


def refuse_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, whoever reaches for the network fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
