import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

from medsam_exp.cli import preflight
from medsam_exp.cli.doctor import findings, machine
from medsam_exp.cli.main import main as medsam_exp
from medsam_exp.cli.weights.catalogue import catalogue, find
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.extras import EXTRAS
from tests.compose import CONF, composed
from tests.conftest import ROOT
from tests.sockets import refuse_sockets


def main(words: list[str]) -> int:
    return medsam_exp(["doctor", *words])


BUSI = "busi_zeroshot"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without weights, data, login and network; returns the folder that holds both folders."""
    refuse_sockets(monkeypatch)
    for name, folder in {"MEDSAM_WEIGHTS": "weights", "MEDSAM_DATA": "data", "HF_HOME": "hub"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    return tmp_path


def page(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(title))
    end = next((n for n in range(start, len(lines)) if not lines[n]), len(lines))
    return [line.strip() for line in lines[start + 1 : end]]


def test_nothing_there(capsys: pytest.CaptureFixture[str], bare: Path) -> None:
    text = page(capsys, "demo", BUSI)
    assert section(text, "Published weights")[0].startswith("none of them is here: biomedclip")
    assert section(text, "Experiments that can run now")[0].startswith("demo ")
    (lacks,) = section(text, "Experiments that lack")
    assert lacks.split(maxsplit=1) == [
        BUSI,
        f"images in {bare}/data/breast_tumors; weights biomedclip_finetuned; weights sam_vit_h",
    ]
    to_do = section(text, "What to do")
    for command in (
        "medsam-exp prepare busi DOWNLOAD",
        "medsam-exp weights get sam_vit_h   # 2.6 GB, licence: Apache-2.0",
        "medsam-exp weights get biomedclip_finetuned   # about 784.7 MB, licence: not stated",
    ):
        assert command in to_do
    assert section(text, "W&B")[0].startswith("no login")


def put(weights: Path, name: str, data: bytes = b"x") -> Path:
    for file in find(name).files:
        path = weights / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path


def test_which_segmenters_are_here_and_which_fit_in_memory(
    capsys: pytest.CaptureFixture[str], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bare / "weights", "edgetam")
    monkeypatch.setattr(machine, "_memory", lambda: {"MemTotal": 4 * 10**9, "MemAvailable": 2 * 10**9})
    lines = section(page(capsys, "demo"), "Segmenters")
    assert lines[0] == "weights here   edgetam"
    assert lines[1].startswith("fit in memory  lite_medsam, mobile_sam, edgetam, ")
    assert lines[2].endswith("sam_hq_h")
    assert lines[3].startswith(
        "sam=auto       takes edgetam: of what is here and fits into 2.0 GB of free memory (edgetam)"
    )
    names = [name for line in lines[1:3] for name in line.split(maxsplit=3)[3].split(", ")]
    assert len(names) == sum(entry.kind == "sam" for entry in catalogue().values())


def test_everything_there(
    capsys: pytest.CaptureFixture[str], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes are not asked for: files of the right names that stand in for gigabytes."""
    monkeypatch.setattr(preflight, "state", lambda *_: SimpleNamespace(kind="there"))
    (bare / "data" / "breast_tumors").mkdir(parents=True)
    put(bare / "weights", "biomedclip_finetuned")
    put(bare / "weights", "sam_vit_h")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    text = page(capsys, BUSI)
    assert section(text, "Experiments that can run now")[0].startswith(BUSI)
    assert "Experiments that lack" not in text
    assert "What to do" not in text
    assert section(text, "W&B") == ["logged in: logger=wandb is online"]
    assert f"{bare}/data/breast_tumors" in text


def test_a_file_that_is_not_the_published_one(capsys: pytest.CaptureFixture[str], bare: Path) -> None:
    (bare / "data" / "breast_tumors").mkdir(parents=True)
    path = put(bare / "weights", "sam_vit_h", b"cut short")
    text = page(capsys, BUSI)
    assert f"sam_vit_h            WRONG ({path} has 9 bytes instead of 2564550879)" in text
    assert "weights sam_vit_h, undamaged" in section(text, "Experiments that lack")[0]
    assert any(
        line.startswith(f"rm {path} && medsam-exp weights get sam_vit_h")
        for line in section(text, "What to do")
    )


def test_a_wrong_checksum(
    capsys: pytest.CaptureFixture[str], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of quick files the checksum is counted; of large ones only when asked, or when it is remembered."""
    entry = find("quiltnet_b16")
    known = tuple(replace(file, sha256=64 * "0") for file in entry.files)
    monkeypatch.setitem(catalogue(), "quiltnet_b16", replace(entry, files=known))
    put(bare / "weights", "quiltnet_b16", b"not the published bytes")
    assert "quiltnet_b16         WRONG" in page(capsys, "demo")
    monkeypatch.setattr(findings, "QUICK_BYTES", 10)
    (bare / "weights" / ".digests.json").unlink()
    text = page(capsys, "demo")
    assert "quiltnet_b16         here (not verified yet)" in text
    assert "has the SHA-256" in page(capsys, "demo", "--verify")
    assert "quiltnet_b16         WRONG" in page(capsys, "demo")  # remembered


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The driver of a GPU."""
    monkeypatch.setattr(machine, "GPU_DRIVERS", (tmp_path,))


@pytest.mark.usefixtures("driver")
def test_a_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: f"Card {n}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda n: (70 * 10**9, 80 * 10**9))
    lines = section(page(capsys, "demo"), "This machine")
    assert lines[0] == "GPU            Card 0, 80.0 GB of which 70.0 GB are free; use it by trainer=gpu"
    assert lines[1].startswith("GPU            Card 1")


def test_a_driver_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert "its CUDA may not fit the driver (make setup TORCH_BACKEND" in machine.look({}).gpu_note


def test_without_a_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "GPU_DRIVERS", ())
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert machine.look({}).gpus == ()


@pytest.mark.usefixtures("driver")
def test_a_strange_machine_is_no_reason_to_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such thing here")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    monkeypatch.setattr(machine, "_memory", broken)
    monkeypatch.setattr(machine, "_cores", broken)
    monkeypatch.setattr(machine.shutil, "disk_usage", broken)
    monkeypatch.setattr(machine.platform, "platform", broken)
    monkeypatch.setattr(machine.importlib.metadata, "version", broken)
    lines = section(page(capsys, "demo"), "This machine")
    assert lines[0] == "GPU            torch cannot be asked for GPUs"
    assert not any(line.startswith(("memory", "disk")) for line in lines)


def test_packages_that_are_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None if name in EXTRAS else find_spec(name))
    cfg = composed("postprocess=crf")
    OmegaConf.resolve(cfg)
    (need,) = preflight.packages(cfg)
    assert need.sentence == "the package pydensecrf is not installed; `make setup-crf` mends it"
    assert not list(preflight.packages(composed("postprocess=otsu")))
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert "pydensecrf     not here, for postprocess=crf: make setup-crf" in page(capsys, "demo")


def test_what_a_method_needs_is_read_from_its_source_as_it_is_when_imported() -> None:
    named = {OmegaConf.load(path).get("_target_") for path in CONF.rglob("*.yaml")} - {None}
    read = {target: preflight._required(target) for target in named}
    assert read == {target: getattr(get_object(target), "requires", None) for target in named}
    assert {"peft", "SimpleITK", "pydensecrf", "tensorboard"} <= set(read.values())


def test_values_that_only_the_user_knows(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, "busi_zeroshot_released")
    assert section(text, "Experiments that lack")[0].split(maxsplit=1)[1].startswith("text.path; images in")
    assert (
        "text.path is not set: give a JSON of file names and sentences, such as the authors': text.path=FILE.json"
        in text
    )


def test_an_experiment_that_does_not_compose_hides_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = findings.needs_of

    def broken(overrides: list[str]) -> list[preflight.Need]:
        if overrides == ["+experiment=demo"]:
            raise ValueError("a bad YAML")
        return real(overrides)

    monkeypatch.setattr(findings, "needs_of", broken)
    text = page(capsys, "demo", "phantom_zeroshot")
    assert section(text, "Experiments that lack") == ["demo                         its configuration"]
    assert section(text, "Experiments that can run now")[0].startswith("phantom_zeroshot")


def test_an_installed_package_is_told_of_its_own_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is neither run.py nor a Makefile."""
    for module in ("config.start_command", "cli.doctor.page", "runtime.extras"):
        monkeypatch.setattr(f"medsam_exp.{module}.in_checkout", lambda: False)
    text = page(capsys, "demo", BUSI)
    assert "start one by: medsam-exp run +experiment=NAME" in section(text, "Experiments that can run now")
    assert "medsam-exp sync" in section(text, "W&B")[0]
    assert "run.py" not in text
    assert EXTRAS["pydensecrf"].installs == "pip install 'medsam-exp[crf]'"


def test_a_segmenter_made_of_other_groups_networks_needs_theirs(
    capsys: pytest.CaptureFixture[str], bare: Path
) -> None:
    salip = composed("+experiment=busi_salip", "clip=biomedclip_finetuned")
    OmegaConf.resolve(salip)
    assert [need.thing for need in preflight.clip(salip)] == ["weights biomedclip_finetuned"]
    (lacks,) = section(page(capsys, "busi_salip"), "Experiments that lack")
    assert lacks.split(maxsplit=1)[1] == f"images in {bare}/data/breast_tumors; weights sam_vit_h"


def test_it_imports_nothing_that_computes() -> None:
    code = """
import sys
from medsam_exp.cli.doctor import machine
machine.GPU_DRIVERS, machine.shutil.which = (), lambda name: None
from medsam_exp.cli.main import main
main(["doctor", "demo", "busi_salip"])
print(sorted({"torch", "pytorch_lightning", "pandas", "scipy"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "Experiments that lack something" in done.stdout
    assert done.stdout.endswith("\n[]\n")


def test_as_record(capsys: pytest.CaptureFixture[str], bare: Path) -> None:
    content = json.loads(page(capsys, "demo", BUSI, "--json"))
    assert content["ready"] == ["demo"]
    assert content["machine"]["cores"] >= 1
    assert content["weights"]["sam_vit_h"] == {"kind": "missing", "note": ""}
    mends = {need["mend"] for need in content["experiments"][BUSI]}
    assert "medsam-exp weights get sam_vit_h" in mends


def test_a_name_that_is_no_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["busy"]) == 1
    assert "there is no experiment 'busy'; there are" in capsys.readouterr().err


@pytest.mark.slow
def test_every_shipped_experiment_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(page(capsys, "--json"))
    shipped = {path.stem for path in (conf_folder() / "experiment").glob("*.yaml")}
    assert set(content["experiments"]) == shipped
    assert {"demo", "phantom_zeroshot", "tiny_clip", "tiny_sam"} <= set(content["ready"])
    assert not any(
        need["thing"] == "its configuration" for each in content["experiments"].values() for need in each
    )


@pytest.mark.parametrize("folder", sorted(preflight.PREPARED))
def test_folders_that_are_prepared_are_those_of_the_configuration(folder: str) -> None:
    text = "".join(
        path.read_text() for group in ("data", "pairs") for path in (conf_folder() / group).glob("*.yaml")
    )
    assert f"${{paths.data}}/{folder}" in text
