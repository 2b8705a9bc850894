"""Folders and zips as downloads: the same names and bytes, and nothing that a hostile zip could do."""

import zipfile
from pathlib import Path

import pytest

from medsam_exp.curation.prepare.source import open_source
from medsam_exp.types import UserError


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def test_a_folder_and_its_zip_have_the_same_names_bytes_and_digest(tmp_path: Path) -> None:
    files = {"a/x.png": b"one", "b (1).txt": b"two" * 1000}
    for name, data in files.items():
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_bytes(data)
    (tmp_path / "raw/.DS_Store").write_bytes(b"clutter")
    packed = archive(tmp_path / "raw.zip", {**files, "__MACOSX/a/._x.png": b"clutter"})
    with open_source(tmp_path / "raw") as folder, open_source(packed) as zipped:
        assert folder.names == zipped.names == ("a/x.png", "b (1).txt")
        assert folder.facts() == zipped.facts()
        assert folder.facts().bytes == 3003
        assert folder.facts(["a/x.png"]) != folder.facts()
        for name, data in files.items():
            assert folder.read(name) == zipped.read(name) == data
            with zipped.file(name) as path:
                assert path.read_bytes() == data
                assert path.suffix == Path(name).suffix
            assert not path.exists()


def test_one_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    one, other = archive(tmp_path / "a.zip", {"x": b"one"}), archive(tmp_path / "b.zip", {"x": b"onf"})
    with open_source(one) as a, open_source(other) as b:
        assert a.facts().digest != b.facts().digest


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png"]
)
def test_names_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "deep").mkdir()
    path = archive(tmp_path / "deep/er.zip", {name: b"x"})
    with pytest.raises(UserError, match="points outside"), open_source(path):
        pass
    assert not list(tmp_path.rglob("evil.png"))


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "x.png").write_bytes(b"one")
    (folder / "y.png").symlink_to(folder / "x.png")
    with open_source(folder) as source:
        assert source.read("y.png") == b"one"
    for target in (tmp_path / "secret.png", tmp_path):
        (folder / "z.png").symlink_to(target)
        with pytest.raises(UserError, match=r"z\.png is a link that leads out of"), open_source(folder):
            pass
        (folder / "z.png").unlink()


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"x.png": bytes(range(256)) * 40})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(bytes(data))
    with (
        open_source(path) as source,
        pytest.raises(UserError, match=r"a.zip: x.png cannot be read .*download it again"),
    ):
        source.read("x.png")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist: give the folder or the zip"),
        (lambda path: path.write_bytes(b"<html>"), "cannot be read as a zip"),
        (lambda path: path.mkdir(), "holds no files"),
        (lambda path: archive(path, {}), "holds no files"),
    ],
)
def test_what_is_no_download(tmp_path, make, said) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "raw.zip")
    with pytest.raises(UserError, match=said), open_source(tmp_path / "raw.zip"):
        pass


def test_a_file_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.zip", {"x.png": b"x"})
    data = path.read_bytes()
    central = data.index(b"PK\x01\x02")
    path.write_bytes(data[: central + 24] + (1 << 31).to_bytes(4, "little") + data[central + 28 :])
    with pytest.raises(UserError, match="would have 2147483648 bytes unpacked"), open_source(path):
        pass


def test_a_locked_file_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "locked.zip", {"x.png": b"x"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="locked with a password"), open_source(path):
        pass


def test_zips_inside_are_folders_unless_unwanted(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", {"y.txt": b"y"}).read_bytes()
    path = archive(tmp_path / "outer.zip", {"part.zip": inner, "numpy.zip": inner})
    with open_source(path, lambda name: "numpy" not in name) as source:
        assert source.names == ("numpy.zip", "part/y.txt")
        assert source.read("part/y.txt") == b"y"
