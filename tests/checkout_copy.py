"""A copy of this checkout to build or run in, so that nothing a test does is left in the real one."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def project_files() -> list[Path]:
    """Files of the project relative to its root: those that git has, or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


def copy_checkout(target: Path) -> Path:
    """Copy the project's files to `target`, and return it."""
    for path in project_files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target / path)
    return target
