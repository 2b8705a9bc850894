"""Messages of an assistant to `medsam-exp mcp`; networks are not asked."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medsam_exp.cli.interactive.session import Session
from medsam_exp.cli.mcp.protocol import Server
from medsam_exp.cli.mcp.tools import Tools
from medsam_exp.types import UserError
from tests.fuzz.reader import Reader, written

_MESSAGES = {
    "begin": ("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a"}}),
    "list": ("tools/list", {}),
    "info": ("tools/call", {"name": "info", "arguments": {"groups": ["prompt"]}}),
    "evaluate": (
        "tools/call",
        {
            "name": "evaluate",
            "arguments": {"predictions": ["masks"], "truth": "masks", "tolerance": 2, "patient": "^(a)"},
        },
    ),
    "segment": (
        "tools/call",
        {"name": "segment", "arguments": {"path": "scan.png", "text": "a mass", "choices": {"saliency": "m2ib"}}},
    ),
}  # fmt: skip


class _WithoutNetworks(Tools):
    def _opened(self) -> Session:
        raise UserError("all that was said is right")


def _write(folder: Path) -> None:
    (folder / "root" / "masks").mkdir(parents=True)
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:6] = True
    Image.fromarray(mask).save(folder / "root" / "masks" / "a.png")
    Image.fromarray(mask).save(folder / "root" / "scan.png")
    for number, (method, params) in enumerate(_MESSAGES.values()):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        (folder / f"{number}.json").write_text(json.dumps(message))


def _serve(folder: Path) -> None:
    """Every message that has an id is answered, and no call fails otherwise than by a sentence."""
    lines = b"\n".join(path.read_bytes() for path in sorted(folder.glob("*.json")))
    output = io.BytesIO()
    with _WithoutNetworks(folder / "root", folder / "out") as tools:
        Server("medsam_exp", "1", "", tools.all(), output).serve(io.BytesIO(lines))
    answers = [json.loads(line) for line in output.getvalue().splitlines()]
    asked = sum(_has_id(line) for line in lines.split(b"\n"))
    if len(answers) < asked:
        raise RuntimeError(f"{asked} messages have {len(answers)} answers")
    said = [_said(answer) for answer in answers]
    if failed := [each for each in said if "failed inside" in each]:
        raise RuntimeError(failed[0])
    if refused := [each for each in said if each and not each.endswith("said is right")]:
        raise UserError(refused[0])


def _has_id(line: bytes) -> bool:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and "id" in message


def _said(answer: dict[str, Any]) -> str:
    """What was refused; "" for nothing."""
    if "error" in answer:
        return str(answer["error"]["message"])
    result = answer["result"]
    return str(result["content"][0]["text"]) if result.get("isError") else ""


READERS = (Reader("assistant's messages", written(_write), _serve, ("*.json",)),)
