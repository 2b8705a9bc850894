"""Read W&B's own files back with W&B's own reader."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WANDB = Path(sys.executable).parent / "wandb"


def records(folder: Path) -> list[dict[str, Any]]:
    """Records of the only W&B run below a run's folder, once it has ended."""
    (log,) = logs(folder)
    for _ in range(100):
        said = subprocess.run(
            [WANDB, "leet", "inspect", "--json", log], capture_output=True, text=True, check=True
        )
        found = [json.loads(line) for line in said.stdout.splitlines()]
        if any(record["type"] == "exit" for record in found):
            return found
        time.sleep(0.3)  # the service may end its file a little after `finish` returns
    raise AssertionError(f"{log} has no end")


def logs(folder: Path) -> list[Path]:
    """Logs of all W&B runs below a folder."""
    return sorted(folder.rglob("*.wandb"))


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """What all records of a kind say."""
    return [record[kind] for record in found if record["type"] == kind]


def final(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary at the end."""
    merged: dict[str, Any] = {}
    for update in of_kind(found, "summary"):
        merged |= update.get("update", {})
    return merged


def exit_code(found: list[dict[str, Any]]) -> int:
    """How the run says that it ended."""
    (end,) = of_kind(found, "exit")
    return int(end.get("exit_code", 0))
