"""Archives and folders as they were downloaded, for `medsam-exp prepare`."""

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from medsam_exp.curation.prepare.source import open_source
from medsam_exp.types import UserError
from tests.curation.prepare import miniatures
from tests.fuzz.reader import Files, Reader, files_below


def _archive() -> Files:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.png", b"\x89PNG")
        archive.writestr("b/table.csv", "name\na\n")
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("first.txt", "a")
        archive.writestr("inner.zip", inner.getvalue())
    return {"a.zip": outer.getvalue()}


def _everything(folder: Path) -> None:
    with open_source(folder / "a.zip") as source:
        source.facts()
        for name in source.names:
            source.read(name)


def _zipped(draw: Callable[[Path], Path]) -> Callable[[], Files]:
    def make() -> Files:
        with tempfile.TemporaryDirectory() as folder:
            drawn = draw(Path(folder) / "drawn")
            return files_below(drawn) if drawn.is_dir() else {drawn.name: drawn.read_bytes()}

    return lambda: {f"drawn/{name}": content for name, content in make().items()}


def _prepared(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from contextlib import redirect_stderr

        said = io.StringIO()
        with redirect_stderr(said):
            code = miniatures.main(
                [name, str(folder / "drawn"), str(folder / "out"), *_OPTIONS.get(name, ())]
            )
        if code:
            raise UserError(said.getvalue().removesuffix("\n"))

    return read


_DOWNLOADS: dict[str, Callable[[Path], Path]] = {
    "busi": lambda root: miniatures.busi(root),
    "udiat": lambda root: miniatures.udiat(root, 3),
    "brain_mri": lambda root: miniatures.brain(root, 3, 1),
    "medpix": miniatures.medpix,
    "roco": miniatures.roco,
}

_OPTIONS = {"brain_mri": ("--partial",), "udiat": ("--split", "test=rest")}

READERS = (
    Reader("archive", _archive, _everything),
    *(
        Reader(f"prepare {name}", _zipped(draw), _prepared(name), cost=20)
        for name, draw in _DOWNLOADS.items()
    ),
)
