"""What is still to be sent, and sending it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medsam_exp.report.logger.sync import NOT_SENT, RUNNING, mark, sync, wandb_runs
from medsam_exp.report.logger.wandb_auth import base_url, has_key


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "NETRC", "WANDB_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def kept(outputs: Path, name: str) -> Path:
    folder = outputs / "runs" / "x" / "wandb" / name
    folder.mkdir(parents=True)
    (folder / f"run-{name[-1]}.wandb").write_bytes(b"")
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Offline: sent, waiting, running, killed. Online: sent, not sent."""
    outputs = tmp_path / "outputs"
    (kept(outputs, "offline-run-1") / "run-1.wandb.synced").touch()
    kept(outputs, "offline-run-2")
    mark(kept(outputs, "offline-run-3")).write_text(RUNNING)
    killed = kept(outputs, "offline-run-4")
    mark(killed).write_text(RUNNING)
    long_ago = time.time() - 3600
    os.utime(killed / "run-4.wandb", (long_ago, long_ago))
    kept(outputs, "run-5")
    mark(kept(outputs, "run-6")).write_text(NOT_SENT)
    (outputs / "runs" / "x" / "artifacts.wandb").touch()  # not a run's log
    return outputs


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_log_of_another_time_is_no_running_ones(outputs: Path, jump: float) -> None:
    """The clock has been set, and a run that was killed before stands in the future."""
    log = outputs / "runs" / "x" / "wandb" / "offline-run-3" / "run-3.wandb"
    os.utime(log, (time.time() + jump, time.time() + jump))
    assert wandb_runs(outputs)[log.parent] == "unsent"


def test_every_state_is_told(outputs: Path) -> None:
    assert {folder.name[-1]: state for folder, state in wandb_runs(outputs).items()} == {
        "1": "sent",
        "2": "unsent",
        "3": "running",
        "4": "unsent",
        "5": "sent",
        "6": "unsent",
    }


def sending(monkeypatch: pytest.MonkeyPatch, send: Callable[[Path], bool]) -> None:
    monkeypatch.setattr("medsam_exp.report.logger.sync._sent", send)


def test_without_a_key_it_says_what_it_would_do(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sending(monkeypatch, lambda _: pytest.fail("sent without a key"))
    assert sync(outputs) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "3 W&B runs" in said
    assert "1 still running" in said
    assert "wandb login" in said


def test_each_is_sent_once_and_failures_are_named(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr("medsam_exp.report.logger.sync.reachable", lambda: True)
    sent: list[str] = []

    def send(folder: Path) -> bool:
        sent.append(folder.name)
        return folder.name != "run-6"

    sending(monkeypatch, send)
    assert sync(outputs) == 1
    assert sent == ["offline-run-2", "offline-run-4", "run-6"]
    said = capsys.readouterr().out
    assert "2 of 3 W&B runs sent" in said
    assert "not sent: " in said
    assert "run-6" in said


def test_a_dry_run_lists_and_sends_nothing(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sending(monkeypatch, lambda folder: pytest.fail(f"{folder} was sent"))
    assert sync(outputs, dry_run=True) == 0
    first, *listed = capsys.readouterr().out.splitlines()
    assert first == f"3 W&B runs below {outputs} would be sent; 1 still running, left alone:"
    assert sorted(line[-1] for line in listed) == ["2", "4", "6"]


def test_nothing_to_send_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sync(tmp_path) == 0
    assert "nothing to send" in capsys.readouterr().out


def test_wandbs_own_command_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real `wandb sync` ends with 0 over a log that it cannot read; the run stays unsent."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("medsam_exp.report.logger.sync.reachable", lambda: True)
    kept(tmp_path, "offline-run-7")
    assert sync(tmp_path) == 1
    assert "not sent: " in capsys.readouterr().out
    assert list(wandb_runs(tmp_path).values()) == ["unsent"]


def test_a_server_that_does_not_answer_is_one_sentence(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    sending(monkeypatch, lambda _: pytest.fail("sent to nobody"))
    assert sync(outputs) == 1
    assert capsys.readouterr().out.endswith("cannot be sent: http://127.0.0.1:1 does not answer\n")


def test_a_key_is_found_where_wandb_login_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_key()
    home = tmp_path / "home"
    (home / ".config" / "wandb").mkdir(parents=True)
    (home / ".netrc").write_text("machine api.wandb.ai\n login user\n password secret\n")
    assert has_key()
    (home / ".config" / "wandb" / "settings").write_text(
        "[default]\nbase_url = https://wandb.hospital.example\n"
    )
    assert base_url() == "https://wandb.hospital.example"
    assert not has_key(), "the key is for another server"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert has_key()
