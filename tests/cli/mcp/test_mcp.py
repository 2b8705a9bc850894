"""An assistant's messages, over the pipes of a real process: stdout carries answers and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.evaluate.scores import evaluate_masks
from medsam_exp.cli.info.choices import groups_info
from medsam_exp.cli.interactive.session import Session
from medsam_exp.cli.main import main
from medsam_exp.data.phantom.draw import draw_phantom
from tests.conftest import ROOT
from tests.data.volumes.synthetic import dicom_series

TEXT = "big spiculated opaque tumor in the middle right"
FAST = {"saliency": "patch_text"}


class Assistant:
    """The other end of the pipes."""

    def __init__(self, root: Path, *options: str, **variables: str) -> None:
        command = [sys.executable, "-m", "medsam_exp", "mcp", str(root), *options]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
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
    grey = drawn.image[..., 0].T
    volume = np.stack([grey, grey[::-1]], axis=-1)
    nibabel.save(
        nibabel.Nifti1Image(volume.astype(np.int16), np.diag([0.5, 0.7, 3, 1])), root / "liver.nii.gz"
    )
    many = nibabel.Nifti1Image(np.zeros((200, 100, 51), np.uint8), np.eye(4))
    nibabel.save(many, root / "many.nii.gz")
    (root / "broken.nii.gz").write_bytes(b"no volume")
    hounsfield = volume[..., :1].repeat(3, axis=2).astype(np.int16) * 2
    placed = (np.eye(3), (0.5, 0.7, 3.0), (0.0, 0.0, 0.0))
    dicom_series(root / "ct", hounsfield, *placed)
    dicom_series(root / "one_slice", hounsfield[..., :1], *placed)
    dicom_series(root / "series_and_picture", hounsfield, *placed)
    for name in ("volume_and_picture", "volume_and_fault"):
        (root / name).mkdir()
        shutil.copy(root / "liver.nii.gz", root / name)
    preview = np.zeros((1500, 1500), np.uint8)
    for name in ("series_and_picture", "volume_and_picture"):
        Image.fromarray(preview).save(root / name / "aaa_preview.png")
    (root / "volume_and_fault" / "broken.dcm").write_bytes(b"no image")
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
        (b"[" * 101 + b"]" * 101, -32600, None),
        (b"[" * 100_000, -32600, None),
        (rb'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "\ud800"}}', -32700, None),
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


@pytest.mark.parametrize("name", ["liver.nii.gz", "ct"])
def test_a_volume_is_what_the_command_makes_of_it(
    name: str, assistant: Assistant, folder: Path, tmp_path: Path
) -> None:
    answer = assistant.call("segment", path=name, text=TEXT, choices=FAST)
    typed = [word for group, choice in FAST.items() for word in (f"--{group}", choice)]
    given = ["segment", "-i", str(folder / name), "-o", str(tmp_path), "--text", TEXT, *typed]
    assert main(given) == 0
    mask, (expected,) = nibabel.load(answer["mask"]), (tmp_path / "masks").glob("*.nii.gz")
    voxels = mask.get_fdata()
    assert np.array_equal(voxels, nibabel.load(expected).get_fdata())
    assert np.array_equal(mask.affine, nibabel.load(expected).affine)
    assert voxels.any()
    assert answer["size"] == list(voxels.shape)
    assert answer["area_px"] == np.count_nonzero(voxels)
    assert answer["share"] == pytest.approx(voxels.mean())
    assert answer["slices"] == voxels.shape[2]
    assert answer["slices_with_mask"] == np.count_nonzero(voxels.any(axis=(0, 1)))
    assert Path(answer["table"]).read_text().count("\n") == 1 + voxels.shape[2]
    assert answer["caution"] != ""
    assert answer["research_use"] == "Research use only; not a medical device."


def test_a_volume_beside_a_picture_is_segmented_alone(assistant: Assistant) -> None:
    found, alone = (
        assistant.call("segment", path=path, text=TEXT, choices=FAST)
        for path in ("volume_and_picture", "liver.nii.gz")
    )
    assert found["mask"].endswith(".nii.gz")
    assert np.array_equal(nibabel.load(found["mask"]).get_fdata(), nibabel.load(alone["mask"]).get_fdata())
    places = {"mask", "table"}
    assert {key: found[key] for key in found.keys() - places} == {
        key: alone[key] for key in alone.keys() - places
    }


def test_a_folder_with_one_dicom_image_is_that_image(assistant: Assistant, folder: Path) -> None:
    (file,) = (folder / "one_slice").iterdir()
    found, alone = (
        assistant.call("segment", path=path, text=TEXT, choices=FAST)
        for path in ("one_slice", f"one_slice/{file.name}")
    )
    assert found == alone
    assert np.asarray(Image.open(found["mask"])).shape == tuple(found["size"])


@pytest.mark.parametrize(
    ("name", "said"), [("series_and_picture", "aaa_preview.png"), ("volume_and_fault", "broken.dcm")]
)
def test_a_folder_with_more_than_its_volume_is_refused_before_the_work(
    name: str, said: str, folder: Path, tmp_path: Path
) -> None:
    opened = Assistant(folder, "--out", str(tmp_path))
    assert said in opened.refusal("segment", path=name, text=TEXT, choices=FAST)
    assert opened.end() == b""
    assert not list(tmp_path.iterdir())


def test_slices_are_kept_in_a_folder_of_the_server_alone(folder: Path, tmp_path: Path) -> None:
    kept, out = tmp_path / "kept", tmp_path / "out"
    kept.mkdir()
    first, second = (Assistant(folder, "--out", str(out), TMPDIR=str(kept)) for _ in range(2))
    asked = {"path": "liver.nii.gz", "text": TEXT, "choices": FAST}
    answers = [opened.call("segment", **asked) for opened in (first, second)]
    assert answers[0] == answers[1]
    assert not list(out.rglob(".*"))
    slices = {slice_.relative_to(kept).parts[0] for slice_ in kept.rglob("liver_0000.png")}
    assert len(slices) == 2, "one folder for each server"
    assert second.end() == b""
    assert first.call("segment", **asked) == answers[0]
    first.process.kill()
    assert first.end() == b""
    assert len(list(kept.glob("medsam_exp_*"))) == 1, "nobody was left to remove it"
    third = Assistant(folder, TMPDIR=str(kept))
    third.ask("ping")
    assert not list(kept.rglob("liver_0000.png"))
    assert third.end() == b""
    assert not list(kept.glob("medsam_exp_*"))


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
        ("segment", {"path": "many.nii.gz", "text": "a"}, "200 x 100 x 51 voxels, more than the 1 million"),
        ("segment", {"path": "broken.nii.gz", "text": "a"}, "broken.nii.gz"),
        ("segment", {"path": "first", "text": "a"}, "it holds 0 volumes"),
        ("segment", {"path": ".", "text": "a"}, "nothing else is read here"),
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
