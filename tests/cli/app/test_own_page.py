"""Who is answered: attacks by name and from other sites, on the real server."""

import http.client
from urllib.parse import urlsplit

import pytest


def status(address: str, method: str = "GET", **headers: str) -> int:
    """Of an answer to a request with these headers, sent to the address whatever they say."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    try:
        connection.putrequest(method, "/", skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def port(address: str) -> int:
    return urlsplit(address).port or 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "192.168.7.7"])
def test_own_names_and_addresses_in_digits_are_answered(address: str, host: str) -> None:
    assert status(address, Host=f"{host}:{port(address)}") == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "a@evil.example",
        "[",
        "evil.example.",
    ],
)
def test_a_name_that_points_here_is_refused(address: str, host: str) -> None:
    assert status(address, Host=f"{host}:{port(address)}") == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://[", "http://localhost:1", "https://evil.example:{port}"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_site_is_refused(address: str, origin: str, method: str) -> None:
    own = f"127.0.0.1:{port(address)}"
    assert status(address, method, Host=own, Origin=origin.format(port=port(address))) == 403


def test_the_page_itself_is_answered(address: str) -> None:
    own = f"127.0.0.1:{port(address)}"
    assert status(address, Host=own, Origin=f"http://{own}") == 200
    assert status(address, Host=own, Origin=f"https://{own}") == 200  # behind a proxy that speaks https
