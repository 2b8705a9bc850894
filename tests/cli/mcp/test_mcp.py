"""An assistant's messages, over the pipes of a real process: stdout carries answers and nothing else."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.evaluate.scores import evaluate_masks
from medsam_exp.cli.info.choices import groups_info
from medsam_exp.cli.interactive.session import Session
from medsam_exp.data.phantom.draw import draw_phantom
from tests.conftest import ROOT

TEXT = "big spiculated opaque tumor in the middle right"
FAST = {"saliency": "patch_text"}


class Assistant:
    """The other end of the pipes."""

    def __init__(self, root: Path, *options: str) -> None:
        command = [sys.executable, "-m", "medsam_exp", "mcp", str(root), *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._number = 0

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert found["jsonrpc"] == "2.0"
        return found

    def ask(self, method: str, params: object = None) -> dict[str, Any]:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method}
        self.send(json.dumps(message | ({} if params is None else {"params": params})).encode())
        found = self.read()
        assert found["id"] == self._number
        return found

    def call(self, name: str, **arguments: object) -> dict[str, Any]:
        """The answer of a tool that worked."""
        result = self.ask("tools/call", {"name": name, "arguments": arguments})["result"]
        assert not result["isError"], result["content"]
        (content,) = result["content"]
        assert json.loads(content["text"]) == result["structuredContent"]
        answer: dict[str, Any] = result["structuredContent"]
        return answer

    def refusal(self, name: str, **arguments: object) -> str:
        """What a tool says that cannot work."""
        result = self.ask("tools/call", {"name": name, "arguments": arguments})["result"]
        assert result["isError"]
        said: str = result["content"][0]["text"]
        return said

    def end(self) -> bytes:
        """Close the pipe; what was still written."""
        rest, _ = self.process.communicate(timeout=60)
        return rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mcp") / "root"
    root.mkdir()
    drawn = draw_phantom(2, 1)
    Image.fromarray(drawn.image).save(root / "scan.png")
    Image.fromarray(drawn.image).save(root.parent / "secret.png")
    (root / "link.png").symlink_to(root.parent / "secret.png")
    Image.fromarray(np.zeros((900, 1200), np.uint8)).save(root / "large.png")
    for name, value in (("truth", 4), ("first", 5), ("second", 6)):
        (root / name).mkdir()
        for number in range(6):
            mask = np.zeros((16, 16), bool)
            mask[2 : 10 + number % 2, 2 : 2 + value] = True
            Image.fromarray(mask).save(root / name / f"p{number}.png")
    (root / "first" / "p0.txt").write_text("no mask")
    (root / "liver.nii.gz").touch()
    return root


@pytest.fixture(scope="module")
def assistant(folder: Path) -> Iterator[Assistant]:
    opened = Assistant(folder, "--max-megapixels", "1")
    yield opened
    assert opened.end() == b"", "every answer was asked for"
    assert opened.process.returncode == 0


def test_it_begins_and_lists_its_tools(assistant: Assistant) -> None:
    client = {
        "protocolVersion": "2025-03-26",
        "capabilities": {},
        "clientInfo": {"name": "a", "version": "1"},
    }
    result = assistant.ask("initialize", client)["result"]
    assert result["protocolVersion"] == "2025-03-26"
    assert result["serverInfo"]["name"] == "medsam-exp"
    assert "Research use only" in result["instructions"]
    assert (
        assistant.ask("initialize", {"protocolVersion": "1999-01-01"})["result"]["protocolVersion"]
        == "2025-06-18"
    )
    assistant.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
    assert assistant.ask("ping")["result"] == {}
    tools = {tool["name"]: tool for tool in assistant.ask("tools/list")["result"]["tools"]}
    assert set(tools) == {"segment", "evaluate", "info"}
    assert tools["segment"]["inputSchema"]["required"] == ["path", "text"]


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"{", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (b"3", -32600, None),
        (b'{"id": 7, "method": "ping"}', -32600, 7),
        (b'{"jsonrpc": "2.0", "id": 8, "method": 5}', -32600, 8),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": []}', -32602, "a"),
        (b'{"jsonrpc": "2.0", "id": 9, "method": "resources/list"}', -32601, 9),
        (b'{"jsonrpc": "2.0", "id": 10, "method": "tools/call", "params": {"name": "rm"}}', -32602, 10),
        (b'{"jsonrpc": "2.0", "id": 11, "method": "tools/call", "params": {"name": {}}}', -32602, 11),
        (
            b'{"jsonrpc": "2.0", "id": 12, "method": "tools/call", "params": {"name": "info", "arguments": 1}}',
            -32602,
            12,
        ),
        (b'{"a": "' + b"x" * 2**20 + b'"}', -32600, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_malformed_is_answered_with_its_code(
    line: bytes, code: int, number: object, assistant: Assistant
) -> None:
    assistant.send(line)
    found = assistant.read()
    assert (found["error"]["code"], found["id"]) == (code, number)
    assert assistant.ask("ping")["result"] == {}


def test_a_mask_is_that_of_a_session(assistant: Assistant, folder: Path) -> None:
    answer = assistant.call("segment", path="scan.png", text=TEXT, choices=FAST)
    with Session() as session:
        expected = session.segment(folder / "scan.png", TEXT, FAST)
    assert expected.mask.any()
    mask = np.asarray(Image.open(answer["mask"]))
    assert np.array_equal(mask, expected.mask * np.uint8(255))
    assert Path(answer["mask"]).is_relative_to(folder / "segmented")
    assert answer["area_px"] == {"coarse_mask": expected.coarse_mask.sum(), "mask": expected.mask.sum()}
    assert answer["share"] == pytest.approx(expected.mask.mean())
    assert answer["presence"]["score"] == expected.presence
    assert answer["iou_predictions"] == list(expected.shown_iou_predictions)
    assert answer["caution"] == expected.caution != "", "the embedded networks know drawn scans alone"
    assert answer["research_use"] == "Research use only; not a medical device."


def test_scores_and_facts_are_those_of_the_commands(assistant: Assistant, folder: Path) -> None:
    found = assistant.call("evaluate", predictions=["first", "second"], truth="truth")
    expected = evaluate_masks([folder / "first", folder / "second"], folder / "truth")
    first, second = (found["summary"][str(folder / name)]["dsc"] for name in ("first", "second"))
    assert first["mean"] == pytest.approx(expected["summary"][str(folder / "first")]["dsc"]["mean"])
    assert found["paired"]["dsc"]["difference"] == pytest.approx(second["mean"] - first["mean"])
    assert assistant.call("info", groups=["sam"]) == groups_info(["sam"])


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("segment", {"path": "scan.png"}, "segment needs text"),
        ("segment", {"path": "scan.png", "text": "a", "colour": "red"}, "segment has no colour"),
        ("segment", {"path": 3, "text": "a"}, "a path is no text"),
        ("segment", {"path": "scan.png", "text": ["a"]}, "text is no text"),
        ("segment", {"path": "scan.png", "text": " "}, "the text is empty"),
        ("segment", {"path": "no.png", "text": "a"}, "no.png is no file"),
        ("segment", {"path": "../secret.png", "text": "a"}, "nothing else is read here"),
        ("segment", {"path": "/etc/passwd", "text": "a"}, "nothing else is read here"),
        ("segment", {"path": "link.png", "text": "a"}, "nothing else is read here"),
        ("segment", {"path": "large.png", "text": "a"}, "1200 x 900 pixels, more than the 1 megapixels"),
        ("segment", {"path": "first/p0.txt", "text": "a"}, "p0.txt"),
        ("segment", {"path": "liver.nii.gz", "text": "a"}, "is a volume, and one image is taken here"),
        ("segment", {"path": "scan.png", "text": "a", "choices": {"data": "busi"}}, "no choice of 'data'"),
        ("segment", {"path": "scan.png", "text": "a", "choices": {"sam": "tiny seed=1"}}, "choices.sam is no name"),
        ("segment", {"path": "scan.png", "text": "a", "choices": {"sam": "tinny"}}, "tinny"),
        ("evaluate", {"predictions": ["first"], "truth": ".."}, "nothing else is read here"),
        ("evaluate", {"predictions": ["."], "truth": "truth"}, "nothing else is read here"),
        ("evaluate", {"predictions": "first", "truth": "truth"}, "predictions is no list"),
        ("evaluate", {"predictions": ["first"], "truth": "truth", "tolerance": "2"}, "tolerance is no number"),
        ("info", {"groups": ["clipp"]}, "did you mean clip?"),
        ("info", {"groups": "clip"}, "groups is no list"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_cannot_work_is_one_sentence(
    name: str, arguments: dict[str, object], said: str, assistant: Assistant
) -> None:
    found = assistant.refusal(name, **arguments)
    assert said in found
    assert "\n" not in found


def test_a_root_that_is_no_folder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    opened = Assistant(tmp_path / "none")
    assert opened.end() == b""
    assert opened.process.returncode == 1


def test_files_that_are_too_large_are_not_read(folder: Path) -> None:
    opened = Assistant(folder, "--max-mb", "0")
    assert "larger than the 0 MB" in opened.refusal("segment", path="scan.png", text="a")
    assert "larger than the 0 MB" in opened.refusal("evaluate", predictions=["first"], truth="truth")
    assert opened.end() == b""
