"""What is in the wheel and in the source distribution, and where an editable install looks."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.checkout_copy import project_files
from tests.packaging.conftest import LOCAL_CHOICE, build

WITHIN = ("medsam_exp", "hydra_plugins")


def test_the_wheel_has_every_file_of_the_packages_and_every_configuration(wheel: Path) -> None:
    expected = {path.as_posix() for path in project_files() if path.parts[0] in WITHIN}
    expected |= {f"medsam_exp/{path.as_posix()}" for path in project_files() if path.parts[0] == "conf"}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected
    assert {"medsam_exp/conf/config.yaml", "medsam_exp/embedded/tiny_sam.safetensors"} <= found
    assert "medsam_exp/embedded/tiny_clip/open_clip_model.safetensors" in found


def test_packaged_files_are_whole(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("medsam_exp/embedded/tiny_sam.safetensors", "medsam_exp/report/web/page.css"):
            assert archive.read(name) == (source / name).read_bytes()
        assert archive.read("medsam_exp/conf/config.yaml") == (source / "conf/config.yaml").read_bytes()


def test_the_wheel_brings_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "medsam-exp = medsam_exp.cli.main:main" in archive.read(entry).decode()


def test_choices_of_this_checkout_alone_stay_here(wheel: Path, source: Path) -> None:
    assert (source / LOCAL_CHOICE).is_file()
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "/local/" in name]


@pytest.mark.slow
def test_a_source_distribution_makes_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build(source, "build_sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "run.py").is_file()
    assert (unpacked / "tests" / "conftest.py").is_file()
    again = build(unpacked, "build_wheel", tmp_path / "again")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        digests = [
            {info.filename: info.CRC for info in archive.infolist() if "RECORD" not in info.filename}
            for archive in (one, other)
        ]
    assert digests[0] == digests[1]


def test_an_editable_install_reads_the_checkout(source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build(source, "build_editable", tmp_path / "editable")) as archive:
        files = {
            name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" not in name
        }
    assert any(str(source) in text for text in files.values())
    assert not [name for name in files if "conf/" in name]
    assert not (source / "medsam_exp" / "conf").exists()
