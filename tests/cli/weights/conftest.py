"""A catalogue of two small networks, and a folder of weights that belongs to one test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from medsam_exp.cli.weights import catalogue as module
from tests.cli.weights.fault_server import Server, a_file, serving, sha256

NET, TOKENS, DESCRIPTION = a_file(5000, seed=3), a_file(100, seed=4), a_file(90, seed=5)


@pytest.fixture
def server() -> Iterator[Server]:
    """A file server with the small networks' files."""
    with serving() as server:
        server.behaviour.files |= {
            "/net.pth": NET,
            "/model.bin": NET,
            "/tokenizer.json": TOKENS,
            "/open_clip_config.json": DESCRIPTION,
        }
        yield server


@pytest.fixture
def small_catalogue(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The catalogue's own two entries `small_sam` and `small_clip`; MEDSAM_WEIGHTS is an empty folder, returned."""
    common = {
        "title": "Small",
        "architecture": "small",
        "layout": "own",
        "licence": "MIT",
        "page": "https://page",
    }
    files = {"model.bin": NET, "tokenizer.json": TOKENS, "open_clip_config.json": DESCRIPTION}
    content = {
        "small_sam": common
        | {
            "kind": "sam",
            "use": "sam=small",
            "files": [{"path": "net.pth", "url": f"{server.url}/", "size": len(NET), "sha256": sha256(NET)}],
        },
        "small_clip": common
        | {
            "kind": "clip",
            "use": "clip=small",
            "files": [
                {
                    "path": f"small_clip/{name}",
                    "url": f"{server.url}/",
                    "size": len(data),
                    "sha256": sha256(data),
                }
                for name, data in files.items()
            ],
        },
    }
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    known = module.read_catalogue(path)
    module.catalogue.cache_clear()
    monkeypatch.setattr(module, "read_catalogue", lambda: known)
    folder = tmp_path / "weights"
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(folder))
    for name in ("HF_ENDPOINT", "MEDSAM_MIRRORS", "MEDSAM_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    module.catalogue.cache_clear()
