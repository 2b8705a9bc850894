import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.clip.model import ClipModel
from tests.command import command, refusal

main = command("export-clip")

Same = Callable[..., None]

PLAIN_OPEN_CLIP = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("a socket was opened")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import open_clip, torch

def compute(folder):
    network, transform = open_clip.create_model_from_pretrained("local-dir:" + folder)
    tokens = open_clip.get_tokenizer("local-dir:" + folder)(["a benign tumor", "lesions"])
    size = network.visual.image_size
    size = size if isinstance(size, int) else size[0]
    images = torch.linspace(-1, 1, 2 * 3 * size * size).reshape(2, 3, size, size)
    with torch.no_grad():
        image, text = network.eval().encode_image(images), network.encode_text(tokens)
    return {"image": image, "text": text, "tokens": tokens, "transform": str(transform)}

found = {}
for folder in sys.argv[2:]:
    try:
        found[folder] = compute(folder)
    except Exception as error:
        found[folder] = {"error": repr(error)}
assert not any(name.startswith("medsam_exp") for name in sys.modules)
torch.save(found, sys.argv[1])
"""
Found = dict[str, Any]


def open_clip_alone(tmp_path: Path, *folders: Path) -> list[Found]:
    """What open_clip computes in a process without this package, an offline switch, a cache or a network."""
    empty, out = tmp_path / "empty", tmp_path / "found.pt"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_OPEN_CLIP, str(out), *map(str, folders)],
        cwd=empty,
        env={"PATH": os.environ["PATH"], "HOME": str(empty), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(torch.load(out, weights_only=True).values())


def assert_found(found: Found, clip: ClipModel) -> None:
    assert "error" not in found, found
    size = clip.image_size
    images = torch.linspace(-1, 1, 2 * 3 * size * size).reshape(2, 3, size, size)
    tokens = clip.tokenize(["a benign tumor", "lesions"])
    assert torch.equal(found["tokens"], tokens)
    with torch.no_grad():
        torch.testing.assert_close(found["image"], clip.encode_image(images), rtol=0, atol=1e-5)
        torch.testing.assert_close(found["text"], clip.encode_text(tokens), rtol=0, atol=1e-5)
    assert f"Resize(size=({size}, {size})" in found["transform"]
    assert str(list(clip.preprocess.mean))[1:-1] in found["transform"]


def name_of_text_tower(folder: Path, name: Path | None = None) -> str:
    """`hf_model_name` of a folder, set anew when one is given."""
    path = folder / "open_clip_config.json"
    description = json.loads(path.read_text())
    if name is not None:
        description["model_cfg"]["text_cfg"]["hf_model_name"] = str(name)
        path.write_text(json.dumps(description))
    return str(description["model_cfg"]["text_cfg"]["hf_model_name"])


@pytest.mark.integration
def test_open_clip_alone_loads_folders_offline(
    tiny_folder: Path, bert_folder: Path, tmp_path: Path, assert_same: Same
) -> None:
    tiny, bert, moved, mended, again = (tmp_path / name for name in ("1", "2", "3", "4", "5"))
    for source, out in ((tiny_folder, tiny), (bert_folder, bert)):
        main([str(source), str(out), "--layout", "open_clip"])
    clip = load_clip(str(bert_folder))
    save_clip(clip, tmp_path / "old", torch.float32)
    (tmp_path / "old").rename(moved)
    assert_same(load_clip(str(moved)), clip)
    shutil.copytree(moved, mended)
    name_of_text_tower(mended, mended)
    main([str(moved), str(again), "--layout", "open_clip"])
    assert [name_of_text_tower(folder) for folder in (bert, moved, again)] == [
        str(folder) for folder in (bert, tmp_path / "old", again)
    ]
    found = open_clip_alone(tmp_path, tiny, bert, moved, mended, again)
    assert_found(found[0], load_clip(str(tiny_folder)))
    assert_found(found[1], clip)
    assert str(tmp_path / "old") in found[2]["error"]  # an absolute path is all that open_clip understands
    assert_found(found[3], clip)
    assert_found(found[4], clip)


def test_saving_leaves_the_model_as_it_is(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = load_clip(str(bert_folder))
    before = json.dumps(clip.model_cfg)
    monkeypatch.chdir(tmp_path)
    save_clip(clip, Path("relative"))
    assert json.dumps(clip.model_cfg) == before
    description = json.loads(Path("relative/open_clip_config.json").read_text())
    assert description["model_cfg"]["text_cfg"]["hf_model_name"] == str(tmp_path / "relative")
    assert json.loads(Path("relative/config.json").read_text())["model_type"] == "bert"


def test_there_and_back_is_equal_to_the_bit(
    bert_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, back = tmp_path / "port", tmp_path / "back"
    main([str(bert_folder), str(port), "--layout", "huggingface"])
    assert capsys.readouterr().out == (
        f"wrote {bert_folder} in the layout huggingface to {port}: pytorch_model.bin\n"
    )
    weights = ["--weights", str(port / "pytorch_model.bin")]
    main([str(bert_folder), str(back), "--layout", "open_clip", *weights])
    before, after = (load_file(folder / "open_clip_model.safetensors") for folder in (bert_folder, back))
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/model", "out", "--layout", "open_clip"], "nowhere/model is not a folder"),
        (["MODEL", "out", "--layout", "huggingface"], "built like BiomedCLIP"),
        (["MODEL", "out", "--layout", "open_clip", "--weights", "no.pt"], "clip.weights=no.pt is neither"),
        (["MODEL", "full", "--layout", "open_clip"], "full exists and is not an empty folder"),
        (["MODEL", "full/file", "--layout", "open_clip"], "full/file exists and is not an empty folder"),
        (["MODEL", "full/file/out", "--layout", "open_clip"], "full/file/out cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    words = [str(tiny_folder) if one == "MODEL" else one for one in arguments]
    assert message in refusal(capsys, ["export-clip", *words])
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "full" / "file").read_text() == "kept"


@pytest.mark.integration
def test_as_a_command(tiny_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "medsam_exp", "export-clip", str(tiny_folder), str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--layout", "open_clip"], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr
    assert load_file(tmp_path / "out" / "open_clip_model.safetensors")
