import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medsam_exp.cli.compose import composed
from medsam_exp.cli.main import main
from medsam_exp.cli.weights.catalogue import PublishedFile
from medsam_exp.cli.weights.local_cache import fetched
from medsam_exp.cli.weights.settings import settings, sources
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.types import UserError
from tests.cli.weights.conftest import NET
from tests.cli.weights.fault_server import Server, leftovers


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["weights", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_nothing_to_checked(small_catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check")[:2] == (0, f"no published weights in {small_catalogue}\n")
    assert "not here" in run(capsys, "list")[1]
    code, out, _ = run(capsys, "get", "all")
    assert code == 0
    assert "small_sam: 5.0 kB fetched; use it by: python run.py sam=small" in out
    assert leftovers(small_catalogue) == [
        "net.pth",
        "small_clip/model.bin",
        "small_clip/open_clip_config.json",
        "small_clip/tokenizer.json",
    ]
    assert "small_sam: is here" in run(capsys, "get", "small_sam")[1]
    assert run(capsys, "check")[:2] == (0, "small_sam: here, verified\nsmall_clip: here, verified\n")
    assert run(capsys, "where")[1] == f"{small_catalogue}\n"
    assert run(capsys, "where", "small_sam")[:2] == (0, f"{small_catalogue}/net.pth\n")
    states = {each["name"]: each["state"] for each in json.loads(run(capsys, "list", "--json")[1])}
    assert states == {"small_sam": "there", "small_clip": "there"}


def test_a_spoilt_file_is_found(small_catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "get", "small_sam")
    (small_catalogue / "net.pth").write_bytes(bytes(len(NET)))
    code, out, _ = run(capsys, "check")
    assert code == 1
    assert "small_sam: WRONG" in out
    assert "has the SHA-256" in out
    code, _, err = run(capsys, "get", "small_sam")
    assert code == 1
    assert "move it away" in err


def test_what_is_missing_is_told_apart_from_what_is_wrong(
    small_catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "check", "small_sam")[0] == 1
    assert run(capsys, "where", "small_sam")[0] == 1
    (small_catalogue / "small_clip").mkdir(parents=True)
    (small_catalogue / "small_clip" / "model.bin").write_bytes(NET)
    assert "in part (1 of 3 files)" in run(capsys, "list")[1]
    assert "small_clip: in part (1 of 3 files)" in run(capsys, "check", "small_clip")[1]


def test_one_that_cannot_be_had_does_not_stop_the_others(
    small_catalogue: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.behaviour.files["/net.pth"]
    code, out, err = run(capsys, "get", "small_sam", "small_clip")
    assert code == 1
    assert "answers 404" in err
    assert "small_clip: 5.2 kB fetched" in out


def test_all_is_every_one(small_catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all, those that are not here are nothing to complain of."""
    assert run(capsys, "get", "small_sam", "all")[0] == 0
    (small_catalogue / "net.pth").unlink()
    assert run(capsys, "check", "all")[:2] == (0, "small_clip: here, verified\n")


def test_own_paths_beside_the_user_count_as_they_do_for_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDSAM_WEIGHTS", raising=False)
    own = tmp_path / "conf" / "paths" / "default.yaml"
    own.parent.mkdir(parents=True)
    given = (conf_folder() / "paths" / "default.yaml").read_text()
    own.write_text(given.replace("MEDSAM_WEIGHTS,weights", "MEDSAM_WEIGHTS,elsewhere") + "# own\n")
    assert settings().folder == Path("elsewhere")
    assert composed(["sam=vit_b"]).paths.weights == "elsewhere"
    assert composed(["sam=vit_b", "paths.weights=typed"]).paths.weights == "typed"
    own.write_text("weights: w\n")
    with pytest.raises(UserError, match=r"default.yaml does not say data, outputs; copy those lines from"):
        settings()


def test_a_proxys_password_stays_out_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write their configuration down, and send it to their tracker."""
    monkeypatch.setenv("MEDSAM_PROXY", "http://user:s3cret@proxy.example:3128")
    assert settings().proxy == "http://user:s3cret@proxy.example:3128"
    assert "s3cret" not in str(OmegaConf.to_container(composed([]), resolve=True))


def test_details_and_mistakes(small_catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "SHA-256" in run(capsys, "list", "small_sam")[1]
    code, _, err = run(capsys, "get", "smal_sam")
    assert (code, err) == (1, "error: the catalogue has no weights 'smal_sam'; did you mean small_sam?\n")


def test_mirrors_of_the_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    monkeypatch.setenv(
        "MEDSAM_MIRRORS", "https://dl.example=https://m.example/copy https://all.example/w?a=b"
    )
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("MEDSAM_PROXY", "http://proxy.example:3128")
    own = settings()
    assert own.folder == tmp_path
    assert own.proxy == "http://proxy.example:3128"
    assert own.mirrors == {
        "https://huggingface.co": "https://hub.example",
        "https://dl.example": "https://m.example/copy",
        "all": "https://all.example/w?a=b",
    }
    monkeypatch.setenv("MEDSAM_MIRRORS", "dl.example=x")
    with pytest.raises(UserError, match=r"MEDSAM_MIRRORS has 'dl.example=x'; it should be FROM=TO"):
        settings()


def test_sources_in_order() -> None:
    file = PublishedFile("a/net.pth", url="https://huggingface.co/x/resolve/main/")
    mirrors = {
        "https://huggingface.co": "https://hub.example",
        "https://huggingface.com": "no",
        "all": "/disk",
    }
    assert sources(file, mirrors) == [
        "https://hub.example/x/resolve/main/net.pth",
        "/disk/a/net.pth",
        "https://huggingface.co/x/resolve/main/net.pth",
    ]


def test_fetched_takes_what_is_whole(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file.pt"
    assert fetched(str(folder), str(file), "hub") == "hub"
    folder.mkdir()
    assert fetched(str(folder), "hub") == "hub"  # its description, the last of its files, is not there
    file.touch()
    assert fetched(str(folder), str(file), "hub") == str(file)
    (folder / "open_clip_config.json").touch()
    assert fetched(str(folder), str(file), "hub") == str(folder)


def test_the_folder_is_the_configured_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MEDSAM_WEIGHTS", raising=False)
    assert run(capsys, "where")[1] == f"{Path.cwd()}/weights\n"
