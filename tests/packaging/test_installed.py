"""The wheel in an empty environment, used in an empty folder, with every connection refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.runtime.conf_folder import conf_folder
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

OWN_DATASET = """\
defaults: [phantom, _self_]
name: mine
count: 2
"""


def _uv() -> str:
    found = shutil.which("uv") or ROOT / ".tools" / "uv" / "bin" / "uv"
    if not Path(found).exists():
        pytest.skip("uv, which makes the empty environment, is not installed (make setup)")
    return str(found)


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed `medsam-exp`, with the packages that the lock file names."""
    environment = tmp_path_factory.mktemp("empty") / "environment"
    subprocess.run([_uv(), "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    install = [_uv(), "pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]
    install += ["--constraint", str(ROOT / "requirements.lock"), str(wheel)]
    for attempt in (["--offline"], []):
        done = subprocess.run([*install, *attempt], capture_output=True, text=True)
        if done.returncode == 0:
            return environment / "bin" / "medsam-exp"
    pytest.skip(f"the packages cannot be had here: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, far from the checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "no_network"))
    for name in [name for name in os.environ if name.startswith("MEDSAM_")]:
        monkeypatch.delenv(name)
    return tmp_path


def start(program: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done


def test_it_is_the_installed_package_that_is_used(program: Path, folder: Path) -> None:
    code = "import medsam_exp.runtime.conf_folder as c; print(c.__file__, c.conf_folder(), c.in_checkout())"
    done = subprocess.run(
        [str(program.with_name("python")), "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    module, conf, in_checkout = done.stdout.split()
    environment = str(program.parent.parent)
    assert module.startswith(environment)
    assert conf == str(Path(module).parent / "conf")
    assert in_checkout == "False"
    shipped = sorted(path.relative_to(conf) for path in Path(conf).rglob("*.yaml"))
    assert shipped == sorted(
        path.relative_to(conf_folder())
        for path in conf_folder().rglob("*.yaml")
        if path.relative_to(conf_folder()).parts[0] != "local"
    )


def test_it_segments_an_image_as_the_checkout_does(program: Path, folder: Path) -> None:
    from medsam_exp.cli.app.examples import examples
    from medsam_exp.cli.interactive.session import Session

    example = examples()[0]
    image, text = folder / "scan.png", example.texts[0]
    Image.fromarray(example.image).save(image)
    done = start(program, folder, "segment", "scan.png", "--text", text)
    assert done.returncode == 0
    mask = np.asarray(Image.open(folder / "segmented" / "scan_mask.png"))
    assert mask.shape == example.image.shape[:2]
    assert mask.any()
    with Session([]) as session:
        expected = session.segment(image, text, {}).mask
    np.testing.assert_array_equal(mask > 0, expected)
    assert sorted(path.name for path in folder.iterdir()) == ["scan.png", "segmented"]


def test_it_runs_an_experiment_with_a_dataset_of_ones_own(program: Path, folder: Path) -> None:
    own = folder / "conf" / "data" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(OWN_DATASET)
    done = start(
        program, folder, "run", "data=mine", "clip=tiny_random", "saliency.steps=2", "report_cases=1"
    )
    assert done.returncode == 0
    assert "sam, by class" in done.stdout or "stage" in done.stdout
    (summary,) = folder.glob("outputs/runs/dev/*/summary.json")
    assert '"command": "medsam-exp run --config-dir conf data=mine' in summary.read_text()
    assert len(list(summary.parent.glob("masks/*.png"))) == 2


def test_bad_input_is_one_sentence(program: Path, folder: Path) -> None:
    done = start(program, folder, "run", "data=folder")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: data.root is not set; give it a value, as in: medsam-exp run data.root=..."
    )
