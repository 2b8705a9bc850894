"""The downloader against a server that fails: what arrives is the published file, whole, or a sentence."""

import errno
import multiprocessing
import os
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gdown
import httpx
import pytest
import requests
from gdown.exceptions import FileURLRetrievalError

from medsam_exp.cli.weights import download, partial
from medsam_exp.cli.weights.catalogue import PublishedFile, Weights
from medsam_exp.cli.weights.download import Downloader
from medsam_exp.cli.weights.local_cache import State, file_state
from medsam_exp.cli.weights.settings import Settings
from medsam_exp.cli.weights.transfer import Patience, make_client
from medsam_exp.types import UserError
from tests.cli.weights.fault_server import Server, a_file, leftovers, serving, sha256

DATA = a_file()
Usage = namedtuple("Usage", "total used free")
QUICK = Patience(attempts=4, connects=2, first_wait_s=0.01, silence_s=5.0)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("HF_ENDPOINT", "MEDSAM_MIRRORS", "MEDSAM_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.behaviour.files["/net.pth"] = DATA
        yield server


def published(server: Server, **changes: Any) -> PublishedFile:
    given: dict[str, Any] = {
        "path": "net.pth",
        "url": f"{server.url}/",
        "size": len(DATA),
        "sha256": sha256(DATA),
    }
    return PublishedFile(**given | changes)


def get(folder: Path, file: PublishedFile, patience: Patience = QUICK, **options: Any) -> Path | None:
    return Downloader(Settings(folder, **options), patience=patience).get_file(file)


def assert_whole(folder: Path) -> None:
    assert (folder / "net.pth").read_bytes() == DATA
    assert leftovers(folder) == ["net.pth"]


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    assert get(tmp_path, published(server)) == tmp_path / "net.pth"
    assert_whole(tmp_path)
    assert get(tmp_path, published(server)) is None
    assert len(server.behaviour.asked) == 1


def test_a_cut_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts = [100_000, 50_000]
    get(tmp_path, published(server))
    assert_whole(tmp_path)
    assert [asked for _, asked in server.behaviour.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert sum(server.behaviour.bodies) == len(DATA)  # nothing came twice


def test_a_cut_without_a_checksum_or_size_is_noticed(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts = [100_000]
    get(tmp_path, published(server, size=None, sha256=None))
    assert_whole(tmp_path)


def test_nothing_is_written_through_a_link(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(DATA[:1000])
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "net.pth.part").symlink_to(other)
    get(folder, published(server))
    assert_whole(folder)
    assert other.read_bytes() == DATA[:1000]
    assert not (folder / "net.pth").is_symlink()


def test_a_later_command_goes_on(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts = [100_000, 0, 0, 0, 0]
    with pytest.raises(
        UserError, match=r"cuts the connection again and again, after 100.0 kB. Give .* \(100.0 kB are kept\)"
    ):
        get(tmp_path, published(server))
    assert leftovers(tmp_path) == ["net.pth.part"]
    server.behaviour.cuts = []
    get(tmp_path, published(server))
    assert_whole(tmp_path)
    assert server.behaviour.bodies[-1] == len(DATA) - 100_000


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts, server.behaviour.ranges = [100_000], False
    get(tmp_path, published(server))
    assert_whole(tmp_path)
    assert server.behaviour.bodies == [100_000, len(DATA)]


@pytest.mark.parametrize("honours", [True, False], ids=["If-Range", "a server deaf to If-Range"])
@pytest.mark.parametrize("checksum", [True, False], ids=["checksum", "no checksum"])
def test_a_file_that_changes_between_two_parts_is_never_mixed(
    server: Server, tmp_path: Path, honours: bool, checksum: bool
) -> None:
    other = a_file(seed=1)
    server.behaviour.files["/net.pth"] = other
    server.behaviour.cuts, server.behaviour.honours_if_range = [100_000, 0, 0, 0, 0], honours
    file = published(server, **{} if checksum else {"sha256": None})
    with pytest.raises(UserError):
        get(tmp_path, file)
    server.behaviour.files["/net.pth"], server.behaviour.cuts = DATA, []
    get(tmp_path, file)
    assert_whole(tmp_path)


def test_parts_of_a_server_without_tags_are_not_mixed_either(server: Server, tmp_path: Path) -> None:
    server.behaviour.tags = False
    server.behaviour.files["/net.pth"] = a_file(seed=1)
    server.behaviour.cuts = [100_000, 0, 0, 0, 0]
    with pytest.raises(UserError):
        get(tmp_path, published(server))
    server.behaviour.files["/net.pth"], server.behaviour.cuts = DATA, []
    get(tmp_path, published(server))  # the checksum finds it out, and it starts anew
    assert_whole(tmp_path)


def test_a_part_that_was_spoilt_on_the_disk_starts_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(b"\0" * 1000)
    get(tmp_path, published(server))
    assert_whole(tmp_path)
    (tmp_path / "net.pth").unlink()
    (tmp_path / "net.pth.part").write_bytes(DATA + b"more")
    get(tmp_path, published(server))
    assert_whole(tmp_path)


def test_a_part_that_is_whole_needs_no_body(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(DATA)
    get(tmp_path, published(server, size=None))
    assert_whole(tmp_path)
    assert server.behaviour.bodies == []


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.behaviour.files["/net.pth"] = wrong = a_file(seed=1)
    expected = f"gives a file that has the SHA256 {sha256(wrong)} instead of {sha256(DATA)} and was deleted"
    with pytest.raises(UserError, match=expected):
        get(tmp_path, published(server))
    assert leftovers(tmp_path) == []


def test_metas_md5_is_checked_too(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has the MD5 .* instead of 0{32}"):
        get(tmp_path, published(server, md5="0" * 32))
    assert leftovers(tmp_path) == []


def test_a_wrong_size_is_said_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    server.behaviour.files["/net.pth"] = DATA[:-5]
    with pytest.raises(UserError, match="has a file of 299995 bytes, and the published one has 300000"):
        get(tmp_path, published(server))
    assert leftovers(tmp_path) == []


def test_without_a_checksum_it_goes_on_by_the_servers_validator(server: Server, tmp_path: Path) -> None:
    file = published(server, sha256=None, size=None)
    server.behaviour.cuts = [100_000, 50_000, 0, 0, 0]
    with pytest.raises(UserError):
        get(tmp_path, file)
    server.behaviour.cuts = []
    get(tmp_path, file)
    assert_whole(tmp_path)
    assert sum(server.behaviour.bodies) == len(DATA)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.behaviour.answers = [status] * 9
    with pytest.raises(UserError, match=f"net.pth answers {status}"):
        get(tmp_path, published(server))
    assert len(server.behaviour.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.behaviour.answers = [status] * 3
    get(tmp_path, published(server))
    assert_whole(tmp_path)


def test_a_server_that_asks_for_time_gets_it(server: Server, tmp_path: Path) -> None:
    server.behaviour.answers, server.behaviour.headers = [429], {"Retry-After": "1"}
    before = time.monotonic()
    get(tmp_path, published(server))
    assert time.monotonic() - before >= 1
    assert_whole(tmp_path)


def test_a_web_page_is_not_taken_for_the_file(server: Server, tmp_path: Path) -> None:
    server.behaviour.kind = "text/html; charset=utf-8"
    with pytest.raises(UserError, match="gives a web page instead of the file"):
        get(tmp_path, published(server, size=None, sha256=None))
    assert leftovers(tmp_path) == []


def test_a_silent_server_is_left(server: Server, tmp_path: Path) -> None:
    server.behaviour.gate = threading.Event()
    patience = Patience(attempts=2, first_wait_s=0.01, silence_s=0.3)
    with pytest.raises(UserError, match="stays silent again and again"):
        get(tmp_path, published(server), patience)
    server.behaviour.gate.set()


def test_nobody_there_is_said_soon(tmp_path: Path) -> None:
    file = PublishedFile("net.pth", url="http://127.0.0.1:9/net.pth")
    with pytest.raises(
        UserError, match=r"net\.pth cannot be fetched: http://127\.0\.0\.1:9/net\.pth cannot be reached"
    ):
        get(tmp_path, file)


def test_a_file_without_a_length_is_taken_to_its_end(server: Server, tmp_path: Path) -> None:
    server.behaviour.says_length = False
    get(tmp_path, published(server))
    assert_whole(tmp_path)


def test_a_full_disk_is_said_before(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial.shutil, "disk_usage", lambda _: Usage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(
        UserError, match=r"the disk of .* is full: net.pth needs 300.0 kB more and 1.0 kB are free"
    ):
        get(tmp_path, published(server))
    assert server.behaviour.bodies in ([], [len(DATA)])
    assert not (tmp_path / "net.pth").exists()


def _fetch_within(limit: int, url: str, folder: Path, said: Any) -> None:
    """In a process of its own, whose files may not grow beyond a limit: the system itself refuses the write."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        get(folder, PublishedFile("net.pth", url=url, size=len(DATA), sha256=sha256(DATA)))
    except UserError as error:
        said.put(str(error))


def test_a_disk_that_fills_up_while_writing_keeps_what_is_there(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    process = context.Process(target=_fetch_within, args=(100_000, f"{server.url}/net.pth", tmp_path, said))
    process.start()
    sentence = said.get(timeout=120)
    process.join(60)
    assert "is full: net.pth needs" in sentence
    kept = (tmp_path / "net.pth.part").stat().st_size
    assert 0 <= kept <= 100_000
    assert (tmp_path / "net.pth.part").read_bytes() == DATA[:kept]
    get(tmp_path, published(server))
    assert_whole(tmp_path)


def test_no_space_left_is_the_same_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> int:
            if self.file.tell() + len(data) > 150_000:
                self.file.write(data[:1000])  # a part of it may get through
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

    def opened(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = real(path, mode, *rest, **options)
        return Full(file) if path.suffix == ".part" and mode == "ab" else file

    server.behaviour.chunk = 10_000
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(UserError, match=r"is full: .* of it are there already and are kept; make room"):
            get(tmp_path, published(server, size=len(DATA)))
    kept = (tmp_path / "net.pth.part").stat().st_size
    assert (tmp_path / "net.pth.part").read_bytes() == DATA[:kept]
    get(tmp_path, published(server))
    assert_whole(tmp_path)


def _fetch(url: str, folder: Path, start: Any) -> None:
    start.wait(60)
    get(folder, PublishedFile("net.pth", url=url, size=len(DATA), sha256=sha256(DATA)))


def test_two_processes_fetch_once(server: Server, tmp_path: Path) -> None:
    server.behaviour.gate = threading.Event()
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    pair = [context.Process(target=_fetch, args=(f"{server.url}/net.pth", tmp_path, start)) for _ in range(2)]
    for process in pair:
        process.start()
    start.set()
    deadline = time.monotonic() + 60
    while not server.behaviour.asked and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # the other one waits by now
    server.behaviour.gate.set()
    for process in pair:
        process.join(60)
    assert [process.exitcode for process in pair] == [0, 0]
    assert_whole(tmp_path)
    assert len(server.behaviour.asked) == 1


def test_a_mirror_goes_first_and_the_publishers_after(server: Server, tmp_path: Path) -> None:
    file = published(server, url="http://publisher.invalid/weights/net.pth")
    server.behaviour.files["/copies/net.pth"] = DATA
    get(tmp_path, file, mirrors={"http://publisher.invalid/weights": f"{server.url}/copies"})
    assert_whole(tmp_path)
    assert [path for path, _ in server.behaviour.asked] == ["/copies/net.pth"]
    (tmp_path / "net.pth").unlink()
    wrong_first = {"all": f"{server.url}/nothing", "http://publisher.invalid": server.url}
    server.behaviour.files["/weights/net.pth"] = DATA
    get(tmp_path, file, mirrors=wrong_first)
    assert_whole(tmp_path)
    assert [path for path, _ in server.behaviour.asked[1:]] == ["/nothing/net.pth", "/weights/net.pth"]


def test_a_mirror_with_another_file_is_passed_over(server: Server, tmp_path: Path) -> None:
    server.behaviour.files["/old/net.pth"] = a_file(seed=1)
    get(tmp_path, published(server), mirrors={"all": f"{server.url}/old"})
    assert_whole(tmp_path)


def test_what_one_source_began_is_not_mixed_with_what_another_gives(server: Server, tmp_path: Path) -> None:
    """A mirror has another file and goes away in the middle of it; the publishers' own arrives all the same."""
    server.behaviour.files["/old/net.pth"] = a_file(seed=1)
    server.behaviour.cuts = [100_000, 0, 0, 0]
    get(tmp_path, published(server), mirrors={"all": f"{server.url}/old"})
    assert_whole(tmp_path)


def test_a_wrong_file_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    server.behaviour.files["/net.pth"] = a_file(seed=1)
    (tmp_path / "net.pth.part").write_bytes(b"an older part")
    server.behaviour.ranges = False
    with pytest.raises(UserError, match="and was deleted"):
        get(tmp_path, published(server))
    assert len(server.behaviour.asked) == 1


def test_the_password_of_a_mirror_is_neither_said_nor_written(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts = [100_000, 0, 0, 0, 0, 0, 0, 0, 0]
    mirror = server.url.replace("//", "//user:s3cret@")
    with pytest.raises(UserError) as said:
        get(tmp_path, published(server), mirrors={server.url: mirror})
    assert f"{server.url}/net.pth cuts the connection" in str(said.value)
    assert "s3cret" not in str(said.value) + "".join(
        path.read_text(errors="ignore") for path in tmp_path.iterdir()
    )
    server.behaviour.cuts = []
    get(tmp_path, published(server), mirrors={server.url: mirror})
    assert_whole(tmp_path)
    assert server.behaviour.bodies[-1] == len(DATA) - 100_000


@pytest.mark.parametrize("scheme", ["ftp", "socks5", "socks9"])
@pytest.mark.parametrize("how", ["shell", "configuration"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, how: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)  # not installed
    proxy = f"{scheme}://user:s3cret@127.0.0.1:9"
    if how == "shell":
        monkeypatch.setenv("ALL_PROXY", proxy)
    file = PublishedFile("net.pth", url="http://publisher.invalid/net.pth")
    with pytest.raises(UserError, match=r"cannot be used; it should be http://HOST:PORT") as said:
        get(tmp_path, file, proxy=proxy if how == "configuration" else None)
    assert "s3cret" not in str(said.value)


@pytest.mark.parametrize(("onward", "allowed"), [("http://b/net.pth", False), ("https://b/net.pth", True)])
def test_nobody_is_sent_from_an_encrypted_address_to_an_open_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onward: str, allowed: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a":
            return httpx.Response(302, headers={"Location": onward})
        return httpx.Response(200, stream=httpx.ByteStream(DATA))

    client = make_client(None, QUICK)
    client._transport, client._mounts = httpx.MockTransport(answer), {}
    monkeypatch.setattr(download, "make_client", lambda *_: client)
    file = PublishedFile("net.pth", url="https://a/net.pth")
    if allowed:
        get(tmp_path, file)
        assert_whole(tmp_path)
    else:
        with pytest.raises(UserError, match=r"https://a/net\.pth leads to b without encryption"):
            get(tmp_path, file)


def test_a_folder_can_be_the_mirror(server: Server, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "net.pth").write_bytes(DATA)
    get(tmp_path / "w", published(server), mirrors={"all": str(tmp_path / "disk")})
    assert_whole(tmp_path / "w")
    assert server.behaviour.asked == []


@pytest.mark.parametrize("how", ["shell", "configuration"])
def test_a_proxy_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    server.behaviour.files["/net.pth"] = DATA
    if how == "shell":
        monkeypatch.setenv("HTTP_PROXY", server.url)
    file = published(server, url="http://publisher.invalid/net.pth")
    get(tmp_path, file, proxy=server.url if how == "configuration" else None)
    assert_whole(tmp_path)
    assert server.behaviour.asked[0][0] == "http://publisher.invalid/net.pth"


def test_a_file_that_is_not_the_published_one_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(a_file(seed=2))
    with pytest.raises(
        UserError, match="it is not the published file, and nothing was changed; move it away"
    ):
        get(tmp_path, published(server))
    assert (tmp_path / "net.pth").read_bytes() == a_file(seed=2)


def test_a_folder_that_cannot_be_written_to(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written to \(.*\); set MEDSAM_WEIGHTS"):
        get(tmp_path / "file", published(server))


@contextmanager
def drive(monkeypatch: pytest.MonkeyPatch, does: Any) -> Iterator[list[dict[str, Any]]]:
    asked: list[dict[str, Any]] = []

    def download(**options: Any) -> str:
        asked.append(options)
        return str(does(options))

    monkeypatch.setattr(gdown, "download", download)
    yield asked


def on_drive(**changes: Any) -> PublishedFile:
    return PublishedFile("net.pth", drive="AN_ID", **{"sha256": sha256(DATA), **changes})


def test_a_file_at_google_drive_is_verified_and_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive(monkeypatch, lambda given: Path(given["output"]).write_bytes(DATA)) as asked:
        get(tmp_path, on_drive())
    assert_whole(tmp_path)
    assert (asked[0]["id"], asked[0]["resume"], asked[0]["use_cookies"]) == ("AN_ID", True, False)


def test_a_proxy_for_google_drive_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the library itself, as far as it comes without a connection."""
    with pytest.raises(UserError, match="cannot be reached"):
        get(tmp_path, on_drive(), Patience(attempts=1), proxy="http://user:s3cret@127.0.0.1:9")
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err


def test_a_file_begun_at_google_drive_counts_as_begun(tmp_path: Path) -> None:
    (tmp_path / "net.pth.part.drivea1b2.part").write_bytes(b"12345")
    (tmp_path / "net.pth.part.json").write_text("{}")
    assert file_state(on_drive(), tmp_path) == State("part", "5 bytes so far")


def test_google_refusing_says_what_to_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise FileURLRetrievalError("Too many users have viewed or downloaded this file recently.\nTry later")

    with (
        drive(monkeypatch, refuse),
        pytest.raises(
            UserError,
            match=r"is refused \(Too many users .*open https://drive.google.com/file/d/AN_ID/view in a browser, click "
            r"Download .* and move the file to \S+net.pth",
        ),
    ):
        get(tmp_path, on_drive())


def test_google_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> None:
        raise requests.ConnectionError("HTTPSConnectionPool(host=...)")

    with (
        drive(monkeypatch, gone),
        pytest.raises(UserError, match=r"AN_ID/view cannot be reached\. Google may"),
    ):
        get(tmp_path, on_drive())


def test_a_page_that_google_gives_instead_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        drive(monkeypatch, lambda given: Path(given["output"]).write_bytes(b"<html>sorry</html>")),
        pytest.raises(UserError, match=r"instead of .* and was deleted"),
    ):
        get(tmp_path, on_drive())
    assert leftovers(tmp_path) == []


def test_what_no_program_is_given_is_said_and_taken_from_a_mirror_alone(
    server: Server, tmp_path: Path
) -> None:
    words = ("net", "Net", "sam", "small", "own", "MIT", "https://page", "sam=net")
    entry = Weights(*words, (published(server, url="https://page/"),), by_hand="gated: ask on its page")
    with pytest.raises(UserError, match=r"^gated: ask on its page$"):
        Downloader(Settings(tmp_path), QUICK).get(entry)
    assert not server.behaviour.asked
    assert Downloader(Settings(tmp_path, {"https://page": server.url}), QUICK).get(entry) == [
        tmp_path / "net.pth"
    ]
    assert_whole(tmp_path)
    assert not Downloader(Settings(tmp_path), QUICK).get(entry)
