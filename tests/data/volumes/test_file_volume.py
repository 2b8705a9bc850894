import gzip
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK

from medsam_exp.data.volumes import file_volume
from medsam_exp.data.volumes.file_volume import open_file_volume, read_file_values, read_labels, volume_stem
from medsam_exp.data.volumes.windowing import Window, WindowLevel, to_bytes
from medsam_exp.runtime import limits as limits_module
from medsam_exp.types import UserError
from tests.data.volumes.test_grid import random_affine

SHAPE = (5, 6, 7)
VALUES = np.random.default_rng(0).normal(100, 40, SHAPE).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_lies_where_simpleitk_says(tmp_path, seed, suffix) -> None:
    """SimpleITK turns NIfTI's RAS into LPS by itself."""
    path = tmp_path / f"scan{suffix}"
    nibabel.save(nibabel.Nifti1Image(VALUES, random_affine(seed)), path)
    ours = open_file_volume(path, "scan").facts
    theirs = SimpleITK.ReadImage(str(path))
    for index in [(0, 0, 0), (4, 5, 6), (1, 5, 2)]:
        np.testing.assert_allclose(
            ours.affine @ [*index, 1], [*theirs.TransformIndexToPhysicalPoint(index), 1], atol=1e-3
        )
    assert (read_file_values(path) == VALUES).all()


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_other_formats_agree_with_nifti(tmp_path, suffix) -> None:
    nibabel.save(nibabel.Nifti1Image(VALUES, random_affine(4)), tmp_path / "scan.nii")
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "scan.nii")), str(tmp_path / f"scan{suffix}"))
    nifti, other = (open_file_volume(tmp_path / f"scan{end}", "scan") for end in (".nii", suffix))
    np.testing.assert_allclose(other.facts.affine, nifti.facts.affine, atol=1e-4)
    assert (other.render(WindowLevel()) == nifti.render(WindowLevel())).all()
    assert other.facts.kind == "itk"


def test_scaling_units_and_further_axes(tmp_path) -> None:
    image = nibabel.Nifti1Image(np.arange(210, dtype=np.int16).reshape(*SHAPE, 1), np.diag([2.0, 3, 4, 1]))
    image.header.set_slope_inter(0.5, 10)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    facts = open_file_volume(tmp_path / "a.nii", "a").facts
    assert facts.shape == SHAPE
    np.testing.assert_allclose(facts.affine, np.diag([-0.002, -0.003, 0.004, 1]))
    stored = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj)[..., 0]
    np.testing.assert_allclose(read_file_values(tmp_path / "a.nii"), stored)


def test_values_that_are_not_finite_are_shown_black(tmp_path) -> None:
    values = VALUES.copy()
    values[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    shown = open_file_volume(tmp_path / "a.nii", "a").render(WindowLevel(window=Window(100, 100)))
    assert shown[0, 0, 0] == 0
    assert (shown.ravel()[1:] == to_bytes(Window(100, 100)(values), inverted=False).ravel()[1:]).all()


def test_damaged_and_odd_files_are_named(tmp_path) -> None:
    path = tmp_path / "a.nii"
    with pytest.raises(UserError, match=r"a.nii does not exist"):
        open_file_volume(path, "a")
    path.write_bytes(b"x" * 400)
    with pytest.raises(UserError, match=r"a.nii cannot be read as NIfTI"):
        open_file_volume(path, "a")
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"a.nii is cut short or damaged"):
        read_file_values(path)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4)), path)
    with pytest.raises(UserError, match=r"4 x 4 x 4 x 3 voxels, one volume of three dimensions is expected"):
        open_file_volume(path, "a")
    colours = np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), path)
    with pytest.raises(UserError, match=r"a.nii holds colours"):
        open_file_volume(path, "a")
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n")
    with pytest.raises(UserError, match=r"a.nrrd cannot be read"):
        open_file_volume(tmp_path / "a.nrrd", "a")


def test_masks_are_whole_numbers(tmp_path) -> None:
    nibabel.save(nibabel.Nifti1Image((VALUES > 100).astype(np.float32) * 3, np.eye(4)), tmp_path / "m.nii")
    labels, affine = read_labels(tmp_path / "m.nii")
    assert (labels == (VALUES > 100) * 3).all()
    assert affine.tolist() == np.diag([-1, -1, 1, 1]).tolist()
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(UserError, match=r"m.nii holds numbers that are not 0, 1, 2"):
        read_labels(tmp_path / "m.nii")


def test_names_without_endings(tmp_path) -> None:
    assert [volume_stem(tmp_path / name) for name in ("a.b.nii.gz", "a.nii", "x.nrrd", "y.png")] == [
        "a.b",
        "a",
        "x",
        "y",
    ]


@pytest.mark.parametrize("values", [np.random.default_rng(0).normal(size=8000), np.arange(8000.0) // 7])
def test_a_file_that_is_damaged_in_its_middle_is_named(tmp_path, values) -> None:
    """Noise is hardly compressed, so that only the checksum tells; elsewhere zlib meets codes without a meaning."""
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32).reshape(20, 20, 20), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 9] = b"\xff" * 9
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a.nii.gz is cut short or damaged"):
        read_file_values(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mhd"])
def test_packed_voxels_that_are_damaged_are_named(tmp_path, suffix) -> None:
    """SimpleITK itself reads on, and gives other voxels."""
    path = tmp_path / f"a{suffix}"
    values = (np.arange(8000, dtype=np.int16).reshape(20, 20, 20) // 3) % 500
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path), True)
    assert (read_file_values(path) == values.T).all()
    packed = path.with_suffix(".zraw") if suffix == ".mhd" else path
    content = bytearray(packed.read_bytes())
    for damaged in (content[:-30], content[:-100] + b"\xff\x00\xff" + content[-97:]):
        packed.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"a\{suffix} is cut short or damaged"):
            read_file_values(path)


def test_packed_voxels_after_skipped_bytes_are_read(tmp_path) -> None:
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
        str(tmp_path / "a.nrrd"),
        True,
    )
    header, packed = (tmp_path / "a.nrrd").read_bytes().split(b"\n\n", 1)
    (tmp_path / "b.nrrd").write_bytes(header + b"\nline skip: 1\n\na line\n" + packed)
    assert (read_file_values(tmp_path / "b.nrrd") == read_file_values(tmp_path / "a.nrrd")).all()


def test_names_that_are_wrong_about_compression(tmp_path) -> None:
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "b.nii.gz")
    with pytest.raises(UserError, match=r"b.nii.gz is not compressed, .*: rename it to b.nii$"):
        open_file_volume(tmp_path / "b.nii.gz", "b")
    (tmp_path / "b.nii.gz").rename(tmp_path / "b.nii")
    assert (read_file_values(tmp_path / "b.nii") == VALUES).all()
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / "c.nii.gz")
    (tmp_path / "c.nii.gz").rename(tmp_path / "c.nii")
    with pytest.raises(UserError, match=r"c.nii is compressed, .*: rename it to c.nii.gz$"):
        open_file_volume(tmp_path / "c.nii", "c")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_more_voxels_than_bytes_are_refused_before_memory_is_taken(tmp_path, suffix) -> None:
    path = tmp_path / f"a{suffix}"
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((32767, 32767, 32767))
    content = header.binaryblock + b"\0" * 20
    path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    with pytest.raises(UserError, match=r"says 32767 x 32767 x 32767 voxels, more than its bytes can hold"):
        open_file_volume(path, "a")


@pytest.mark.parametrize(("pixdim", "sform", "known"), [(0, 0, False), (2, 0, True), (0, 1, True)])
def test_sizes_of_voxels_are_unknown_where_the_file_says_none(tmp_path, caplog, pixdim, sform, known) -> None:
    image = nibabel.Nifti1Image(VALUES, np.diag([2.0, 2, 2, 1]))
    nibabel.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[80:92] = np.full(3, pixdim, "<f4").tobytes()
    content[252:256] = np.array([0, sform], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    facts = open_file_volume(tmp_path / "a.nii", "a").facts
    assert facts.spacing_known == known
    assert facts.notes == (() if known else ("a does not say how large its voxels are (pixdim 0)",))
    assert "pixdim" not in caplog.text


SECRET = "/etc/hostname"
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 2 2 1\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n"
    "ElementDataFile = {}\n"
)
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 1\nencoding: raw\nspacings: 1 1 1\ndata file: {}\n\n"


@pytest.mark.parametrize(
    ("suffix", "header"), [(".mhd", META), (".mha", META), (".nhdr", NRRD), (".nrrd", NRRD)]
)
@pytest.mark.parametrize("named", [SECRET, "../a.raw", "sub/a.raw", "LIST\n{}", "%s 1 2 1", "link.raw", ".."])
def test_voxels_come_from_the_headers_own_folder(tmp_path, suffix, header, named) -> None:
    folder = tmp_path / "scan"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path / "a.raw", folder / "sub" / "a.raw"):
        place.write_bytes(bytes(4))
    (folder / "link.raw").symlink_to(tmp_path / "a.raw")
    path = folder / f"a{suffix}"
    path.write_text(header.format(named.format(SECRET)))
    with pytest.raises(UserError, match=r"takes its voxels from .*no file beside it"):
        open_file_volume(path, "a")
    with pytest.raises(UserError):
        read_labels(path)


@pytest.mark.parametrize(
    "changed", [("= {}", ": {}"), ("\n", "\r\n"), ("\nElementDataFile", "\r  ElementDataFile")]
)
def test_other_spellings_of_a_header_lead_nowhere_else(tmp_path, changed) -> None:
    path = tmp_path / "a.mhd"
    path.write_bytes(META.replace(*changed).format(SECRET).encode())
    with pytest.raises(UserError, match=r"takes its voxels from .*no file beside it"):
        open_file_volume(path, "a")


@pytest.mark.parametrize("axes", ["1e300", "1000000000", "-1", "5", ""])
def test_a_meta_image_of_many_axes_does_not_end_the_process(tmp_path, axes) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(4))
    (tmp_path / "a.mhd").write_text(META.replace("NDims = 3", f"NDims = {axes}").format("a.raw"))
    with pytest.raises(UserError, match="says no number of axes from 1 to 4"):
        open_file_volume(tmp_path / "a.mhd", "a")


@pytest.mark.parametrize(("suffix", "header"), [(".mhd", META), (".nhdr", NRRD)])
def test_voxels_beside_the_header_are_read(tmp_path, suffix, header) -> None:
    (tmp_path / "a.raw").write_bytes(bytes([1, 2, 3, 4]))
    (tmp_path / f"a{suffix}").write_text(header.format("a.raw"))
    assert read_file_values(tmp_path / f"a{suffix}").ravel(order="F").tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("suffix", "header"), [(".mhd", META), (".nhdr", NRRD)])
def test_a_header_of_more_voxels_than_there_are_bytes_takes_no_memory(tmp_path, suffix, header) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(4))
    (tmp_path / f"a{suffix}").write_text(header.replace("2 2 1", "30000 30000 30000").format("a.raw"))
    with pytest.raises(UserError, match=r"says 30000 x 30000 x 30000 voxels, more than its bytes can hold"):
        open_file_volume(tmp_path / f"a{suffix}", "a")


def test_bytes_without_end_behind_packed_voxels_are_not_unpacked(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(file_volume, "_AFTER_VOXELS", 1000)
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), path)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content + bytes(1000)))
    assert read_file_values(path).shape == SHAPE
    path.write_bytes(gzip.compress(content + bytes(2000)))
    with pytest.raises(UserError, match="goes on behind the voxels"):
        read_file_values(path)


def test_a_volume_beyond_the_limit_is_refused_by_its_header(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((60, 60, 60), np.uint8), np.eye(4)), path)
    monkeypatch.setattr(limits_module, "_in_force", [replace(limits_module.limits(), volume_mib=0.5)])
    with pytest.raises(UserError, match=r"a\.nii takes 1 MiB, more than limits\.volume_mib=0\.5"):
        open_file_volume(path, "a")
