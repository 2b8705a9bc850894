"""What holds for every command: repetition, zips, order of files, a kill in the middle, the list of commands."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pkgutil import iter_modules

import pytest

from medsam_exp.curation.prepare import datasets, output
from medsam_exp.data.folder import FolderDataset
from tests.command import command
from tests.conftest import ROOT
from tests.curation.prepare import miniatures
from tests.curation.prepare.miniatures import index, prepared, refused, tree, zipped

main = command("prepare")

Draw = Callable[[Path], Path]
DOWNLOADS: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "busi": (miniatures.busi, ()),
    "udiat": (miniatures.udiat, ("--split", "val=3,test=rest")),
    "brain_mri": (miniatures.brain, ("--partial",)),
    "lung_xray": (miniatures.covid, ()),
    "lung_ct": (miniatures.chest_ct, ()),
    "medpix": (miniatures.medpix, ()),
    "roco": (miniatures.roco, ()),
    "authors": (miniatures.authors, ()),
    "biomedparse": (miniatures.biomedparse, ()),
    "medsegbench": (miniatures.medsegbench, ()),
    "medclipseg": (miniatures.medclipseg, ()),
    "cvpr_text_3d": (miniatures.cvpr_text_3d, ("--spacing", "zyx")),
}
EACH = pytest.mark.parametrize("name", DOWNLOADS)


def test_every_preparer_is_tried_here() -> None:
    there = {module.name for module in iter_modules(datasets.__path__)}
    assert set(DOWNLOADS) == there - {"own"}  # which has tests of its own


@EACH
def test_again_writes_nothing_and_says_so(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, options = DOWNLOADS[name]
    raw = draw(tmp_path / "raw")
    out = prepared(name, raw, tmp_path / "out", *options)
    first = tree(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    capsys.readouterr()
    prepared(name, raw, tmp_path / "out", *options)
    assert "everything was there already" in capsys.readouterr().out
    assert tree(out) == first
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}


@EACH
def test_a_zip_gives_the_same_bytes_as_its_folder(tmp_path: Path, name: str) -> None:
    draw, options = DOWNLOADS[name]
    raw = draw(tmp_path / "raw")
    unpacked = prepared(name, raw, tmp_path / "a", *options)
    packed = prepared(name, zipped(raw), tmp_path / "b", *options)
    assert tree(unpacked) == tree(packed)


@EACH
def test_a_download_that_lies_deeper(tmp_path: Path, name: str) -> None:
    draw, options = DOWNLOADS[name]
    shallow = prepared(name, draw(tmp_path / "raw"), tmp_path / "a", *options)
    deep = prepared(name, zipped(tmp_path / "raw", "archive/v2/"), tmp_path / "b", *options)
    images = {file: data for file, data in tree(shallow).items() if file.endswith((".png", ".jpg"))}
    assert images == {file: data for file, data in tree(deep).items() if file.endswith((".png", ".jpg"))}


@EACH
def test_what_was_spoilt_is_mended(tmp_path: Path, name: str) -> None:
    draw, options = DOWNLOADS[name]
    raw = draw(tmp_path / "raw")
    out = prepared(name, raw, tmp_path / "out", *options)
    before = tree(out)
    pictures = [file for file in before if file.endswith((".png", ".jpg"))]
    (out / pictures[0]).unlink()
    (out / pictures[-1]).write_bytes(b"spoilt")
    next(out.rglob("prepared.json")).touch()
    prepared(name, raw, tmp_path / "out", *options)
    assert tree(out) == before


def test_brain_zips_inside_a_zip_are_read_in_place(tmp_path: Path) -> None:
    raw = miniatures.brain(tmp_path / "raw")
    flat = prepared("brain_mri", raw, tmp_path / "flat", "--partial")
    nested = tmp_path / "1512427"
    nested.mkdir()
    for number, part in enumerate(("1-9", "10-18")):
        with zipfile.ZipFile(nested / f"brainTumorDataPublic_{part}.zip", "w") as archive:
            for n in range(9 * number + 1, 9 * number + 10):
                archive.write(raw / f"{n}.mat", f"{n}.mat")
    shutil.copy(raw / "cvind.mat", nested)
    in_folder = prepared("brain_mri", nested, tmp_path / "b", "--partial")
    in_zip = prepared("brain_mri", zipped(nested), tmp_path / "c", "--partial")
    assert tree(in_folder) == tree(in_zip)
    pictures = {file: data for file, data in tree(flat).items() if file.endswith(".png")}
    assert pictures == {file: data for file, data in tree(in_zip).items() if file.endswith(".png")}


def test_the_order_in_which_files_were_made_changes_nothing(tmp_path: Path) -> None:
    raw = miniatures.busi(tmp_path / "raw")
    for path in sorted(raw.rglob("*.png"), reverse=True):
        target = tmp_path / "turned" / path.relative_to(raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert tree(prepared("busi", raw, tmp_path / "a")) == tree(
        prepared("busi", tmp_path / "turned", tmp_path / "b")
    )


def test_other_options_or_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.busi(tmp_path / "raw")
    out = prepared("busi", raw, tmp_path / "out")
    assert "seed was 0, now 1" in refused(capsys, "busi", raw, out, "--seed", 1)
    miniatures.save(raw / "benign/benign (1).png", miniatures.scan(55))
    assert "the download has other files or other bytes" in refused(capsys, "busi", raw, out)


@pytest.mark.parametrize("when", ["early", pytest.param("late", marks=pytest.mark.slow)])
def test_killed_and_repeated_gives_the_same_bytes(tmp_path: Path, when: str) -> None:
    raw = miniatures.busi(tmp_path / "raw", benign=160, malignant=40)
    command = [sys.executable, "-m", "medsam_exp", "prepare", "busi", str(raw), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wanted = 3 if when == "early" else 110
    while process.poll() is None and len(list(tmp_path.glob("out/*_images/*.png"))) < wanted:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out/prepared.json").exists()
    there = len(list(tmp_path.glob("out/*_images/*.png")))
    assert wanted <= there < 200
    whole = prepared("busi", raw, tmp_path / "whole")
    assert tree(prepared("busi", raw, tmp_path / "out")) == tree(whole)


@pytest.mark.parametrize("name", ["busi", "lung_xray"])
def test_real_downloads(tmp_path: Path, shared_data: Path, name: str) -> None:
    raw = shared_data / "raw" / {"busi": "BUSI", "lung_xray": "COVID-QU-Ex"}[name]
    out = prepared(name, raw, tmp_path / "out")
    rows = index(out)
    assert len(rows) == 12
    assert tree(out) == tree(prepared(name, zipped_copy(raw, tmp_path), tmp_path / "zip"))
    dataset = FolderDataset(name, str(out), "test", index="index.csv")
    for sample in dataset.samples:
        image, mask = dataset.read_image(sample.id), dataset.read_ground_truth(sample.id)
        assert image.shape[:2] == mask.shape
        assert 0.005 < mask.mean() < 0.7


def zipped_copy(raw: Path, tmp_path: Path) -> Path:
    return zipped(Path(shutil.copytree(raw, tmp_path / "copy")))


def test_the_list_of_commands_says_what_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in DOWNLOADS)
    for name in DOWNLOADS:
        assert main([name, "--help"]) == 0
        assert "Folder or zip as it was downloaded" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_preparer_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["busj", "raw"]) == 2
    assert "has no 'busj'; did you mean busi?" in capsys.readouterr().err


def test_out_is_where_the_configuration_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSAM_DATA", str(tmp_path / "data"))
    assert main(["busi", str(miniatures.busi(tmp_path / "raw"))]) == 0
    assert (tmp_path / "data/breast_tumors/prepared.json").is_file()


def test_a_full_disk_is_said_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = miniatures.busi(tmp_path / "raw")
    whole = prepared("busi", raw, tmp_path / "whole")
    write, left = output.write_atomically, iter(range(7))

    def until_full(path: Path, data: bytes) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(output, "write_atomically", until_full)
    said = refused(capsys, "busi", raw, tmp_path / "out")
    assert "No space left on device" in said
    assert "the same command goes on from here" in said
    monkeypatch.undo()
    assert tree(prepared("busi", raw, tmp_path / "out")) == tree(whole)


def test_two_at_once_write_one_folder(tmp_path: Path) -> None:
    raw = miniatures.busi(tmp_path / "raw", benign=30)
    whole = prepared("busi", raw, tmp_path / "whole")
    arguments = ["busi", str(raw), str(tmp_path / "out")]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(main, [arguments, arguments])) == [0, 0]
    assert tree(tmp_path / "out") == tree(whole)
