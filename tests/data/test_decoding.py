import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from medsam_exp.data import pixels
from medsam_exp.data.decoding import decode, read_image
from medsam_exp.runtime import limits as limits_module
from medsam_exp.types import UserError

GRAY = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7) * 7
COLOUR = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=-1)
DEEP = GRAY.astype(np.uint16) * 100 + 500


def gray3(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 3, axis=-1).astype(np.uint8)


def stretched(values: np.ndarray) -> np.ndarray:
    """Pixel by pixel, in Python numbers."""
    low, high = float(values.min()), float(values.max())
    flat = [round((float(v) - low) * 255 / (high - low)) for v in values.ravel()]
    return np.array(flat, dtype=np.uint8).reshape(values.shape)


def write_png16(path: Path, channels: np.ndarray, colour_type: int, exif: bytes = b"") -> None:
    """A 16-bit PNG from its specification; Pillow cannot write colour at 16 bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = channels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"eXIf", exif) if exif else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "PNG"])
@pytest.mark.parametrize("array", [GRAY, COLOUR], ids=["gray", "rgb"])
def test_lossless_8_bit_is_read_as_it_is(tmp_path, suffix, array):
    path = tmp_path / f"scan.{suffix}"
    Image.fromarray(array).save(path, **({"lossless": True} if suffix == "webp" else {}))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    np.testing.assert_array_equal(image, array if array.ndim == 3 else gray3(array))


def test_jpeg_is_close(tmp_path):
    smooth = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "scan.jpg", quality=95)
    image = read_image(tmp_path / "scan.jpg")
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - gray3(smooth)).max() <= 4


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_is_stretched(tmp_path, suffix):
    Image.fromarray(DEEP).save(tmp_path / f"scan.{suffix}")
    image = read_image(tmp_path / f"scan.{suffix}")
    np.testing.assert_array_equal(image, gray3(stretched(DEEP)))
    assert (image.min(), image.max()) == (0, 255)


def test_12_bit_values_in_16_bits_are_not_dark(tmp_path):
    twelve_bit = np.linspace(0, 4095, 100).reshape(10, 10).astype(np.uint16)
    Image.fromarray(twelve_bit).save(tmp_path / "scan.png")
    assert read_image(tmp_path / "scan.png").max() == 255


def test_constant_16_bit_is_black(tmp_path):
    Image.fromarray(np.full((3, 4), 900, np.uint16)).save(tmp_path / "scan.png")
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), np.zeros((3, 4, 3), np.uint8))


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_of_either_byte_order(tmp_path, order):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "scan.tif", DEEP, byteorder=order)
    np.testing.assert_array_equal(read_image(tmp_path / "scan.tif"), gray3(stretched(DEEP)))


def test_signed_16_bit_ct_numbers(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    hounsfield = DEEP.astype(np.int16) - 1000
    tifffile.imwrite(tmp_path / "ct.tif", hounsfield)
    np.testing.assert_array_equal(read_image(tmp_path / "ct.tif"), gray3(stretched(hounsfield)))


@pytest.mark.parametrize("array", [GRAY, DEEP], ids=["8-bit", "16-bit"])
def test_white_is_zero_is_inverted(tmp_path, array):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "film.tif", array, photometric="miniswhite")
    inverse = np.iinfo(array.dtype).max - array
    expected = inverse if array.dtype == np.uint8 else stretched(inverse)
    np.testing.assert_array_equal(read_image(tmp_path / "film.tif"), gray3(expected))


def test_float_tiff_is_stretched_and_not_a_number_is_black(tmp_path):
    values = GRAY.astype(np.float32) / 17 - 3
    values[2, 3] = np.nan
    values[4, 6] = np.inf
    Image.fromarray(values).save(tmp_path / "scan.tif")
    expected = values.astype(float)
    low, high = values[np.isfinite(values)].min(), values[np.isfinite(values)].max()
    expected = np.rint((expected - low) / (high - low) * 255)
    expected[2, 3] = expected[4, 6] = 0
    image = read_image(tmp_path / "scan.tif")
    assert np.abs(image.astype(int) - gray3(expected)).max() <= 1  # float32 against float64 at .5
    assert not image[2, 3].any()
    assert not image[4, 6].any()


def test_float_tiff_without_a_number_is_refused(tmp_path):
    Image.fromarray(np.full((3, 4), np.nan, np.float32)).save(tmp_path / "scan.tif")
    with pytest.raises(UserError, match=r"scan\.tif holds no finite number"):
        read_image(tmp_path / "scan.tif")


def test_16_bit_colour_keeps_its_low_byte(tmp_path):
    channels = np.stack([DEEP, DEEP[::-1], DEEP + 37], axis=-1)
    write_png16(tmp_path / "scan.png", channels, colour_type=2)
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), stretched(channels))


def test_16_bit_colour_that_is_turned(tmp_path):
    channels = np.stack([DEEP, DEEP[::-1], DEEP + 37], axis=-1)
    exif = Image.Exif()
    exif[274] = 6
    write_png16(tmp_path / "scan.png", channels, 2, exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), np.rot90(stretched(channels), -1))
    assert decode(tmp_path / "scan.png").orientation == 6


def test_16_bit_gray_with_alpha(tmp_path):
    alpha = np.full_like(DEEP, 65535)
    alpha[0] = 0
    write_png16(tmp_path / "scan.png", np.stack([DEEP, alpha], axis=-1), colour_type=4)
    expected = stretched(DEEP)
    expected[0] = 0
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), gray3(expected))


def test_16_bit_colour_tiff_is_refused_rather_than_cut_to_8_bits(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "scan.tif", np.stack([DEEP] * 3, -1), photometric="rgb")
    with pytest.raises(UserError, match=r"scan\.tif is a colour TIFF of 16 bits"):
        read_image(tmp_path / "scan.tif")


def test_one_bit(tmp_path):
    bits = GRAY > 100
    Image.fromarray(bits).save(tmp_path / "scan.png")
    with Image.open(tmp_path / "scan.png") as stored:
        assert stored.mode == "1"
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), gray3(bits * 255))


def test_palette(tmp_path):
    palette = Image.fromarray((GRAY % 3).astype(np.uint8), mode="P")
    colours = np.array([(10, 20, 30), (200, 100, 0), (0, 255, 9)], np.uint8)
    palette.putpalette(colours.ravel().tolist())
    palette.save(tmp_path / "scan.png")
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), colours[GRAY % 3])


def test_palette_with_a_transparent_entry_is_black_there(tmp_path):
    palette = Image.fromarray((GRAY % 2).astype(np.uint8), mode="P")
    palette.putpalette([10, 20, 30, 200, 100, 0])
    palette.save(tmp_path / "scan.png", transparency=0)
    expected = np.array([(0, 0, 0), (200, 100, 0)], np.uint8)[GRAY % 2]
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), expected)


@pytest.mark.parametrize("array", [GRAY[..., None], COLOUR], ids=["LA", "RGBA"])
def test_alpha_is_composited_over_black(tmp_path, array):
    alpha = np.linspace(0, 255, GRAY.size).reshape(GRAY.shape).astype(np.uint8)
    Image.fromarray(np.dstack([array, alpha])).save(tmp_path / "scan.png")
    expected = np.rint(np.broadcast_to(array, COLOUR.shape) * (alpha[..., None] / 255.0))
    np.testing.assert_allclose(read_image(tmp_path / "scan.png"), expected, atol=1)


@pytest.mark.parametrize("opacity", [0, 128, 255])
def test_alpha_that_is_the_same_everywhere_is_dropped(tmp_path, opacity):
    Image.fromarray(np.dstack([COLOUR, np.full_like(GRAY, opacity)])).save(tmp_path / "scan.png")
    np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), COLOUR)


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).convert("CMYK").save(tmp_path / "scan.jpg")
    np.testing.assert_allclose(read_image(tmp_path / "scan.jpg"), 200, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "array"),
    [
        ("png", COLOUR),
        ("png", GRAY),
        ("png", DEEP),
        ("tif", COLOUR),
        ("tif", GRAY),
        ("tif", DEEP),
        ("webp", COLOUR),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.ndim}d-{value.dtype}",
)
def test_orientation_tag_is_applied(tmp_path, orientation, suffix, array):
    exif = Image.Exif()
    exif[274] = orientation
    extra = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(array).save(tmp_path / f"photo.{suffix}", exif=exif, **extra)
    read_upright = {(3, 1): COLOUR, (2, 1): gray3(GRAY), (2, 2): gray3(stretched(DEEP))}
    # What each tag says of the stored array, from the EXIF standard's table.
    shown = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }[orientation](read_upright[len(array.shape), array.dtype.itemsize])
    assert decode(tmp_path / f"photo.{suffix}").orientation == orientation
    np.testing.assert_array_equal(read_image(tmp_path / f"photo.{suffix}"), shown)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.6])
def test_truncated_files_are_named(tmp_path, suffix, kept):
    path = tmp_path / f"scan.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(UserError, match=rf"scan\.{suffix}"):
        read_image(path)


def test_corrupt_png_is_named(tmp_path):
    path = tmp_path / "scan.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"scan\.png cannot be read as an image"):
        read_image(path)


def test_other_content_missing_file_and_folder(tmp_path):
    (tmp_path / "notes.png").write_text("not an image at all")
    (tmp_path / "folder.png").mkdir()
    for name, words in (
        ("notes", "cannot be read"),
        ("folder", "cannot be read"),
        ("absent", "does not exist"),
    ):
        with pytest.raises(UserError, match=rf"{name}\.png {words}"):
            read_image(tmp_path / f"{name}.png")


@pytest.mark.parametrize("side", [10_000, 20_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match=r"bomb\.png .*(pixels)"):
        read_image(path)


def test_stack_of_slices_is_refused(tmp_path):
    slices = [Image.fromarray(GRAY) for _ in range(4)]
    slices[0].save(tmp_path / "volume.tif", save_all=True, append_images=slices[1:])
    with pytest.raises(UserError, match=r"volume\.tif holds 4 images"):
        read_image(tmp_path / "volume.tif")


def test_one_pixel_and_one_row(tmp_path):
    for shape in ((1, 1), (1, 9), (9, 1)):
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        Image.fromarray(array).save(tmp_path / "scan.png")
        np.testing.assert_array_equal(read_image(tmp_path / "scan.png"), gray3(array))


def test_lossy_formats_are_known(tmp_path):
    for suffix, lossy in (("png", False), ("tif", False), ("bmp", False), ("jpg", True), ("webp", True)):
        Image.fromarray(COLOUR).save(tmp_path / f"scan.{suffix}")
        assert decode(tmp_path / f"scan.{suffix}").lossy is lossy
    Image.fromarray(COLOUR).save(tmp_path / "scan.tif", compression="jpeg")
    assert decode(tmp_path / "scan.tif").lossy


def test_content_decides_and_not_the_suffix(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "scan.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "scan.jpg"), COLOUR)
    assert not decode(tmp_path / "scan.jpg").lossy


def test_real_images_equal_a_plain_read(shared_data):
    for folder in ("breast_tumors/test_images", "brain_tumors/val_images", "lung_CT/test_images"):
        for path in sorted((shared_data / folder).iterdir())[:5]:
            with Image.open(path) as stored:
                plain = np.asarray(ImageOps.exif_transpose(stored))
            np.testing.assert_array_equal(read_image(path), gray3(plain))


def test_a_damaged_byte_anywhere_in_a_png_is_found(tmp_path) -> None:
    values = (np.add.outer(np.arange(64), np.arange(64)) * 2 % 256).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    content = path.read_bytes()
    start = content.index(b"IDAT") + 4
    for place in range(start, len(content) - 12, 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x15
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
            decode(path)


@pytest.mark.parametrize(
    "kind", ["gray", "deep", "float", "colour", "deep colour", "alpha", "deep alpha", "P", "1"]
)
def test_bands_of_rows_give_what_the_whole_image_gives(tmp_path, monkeypatch, kind):
    """Against pixels of a few rows at a time, the whole in one step."""
    path = tmp_path / ("a.tif" if kind == "float" else "a.png")
    varied = np.arange(35, dtype=np.uint8).reshape(5, 7)
    if kind.startswith("deep "):
        channels = [DEEP, DEEP[::-1], DEEP[:, ::-1], *([DEEP * 3] if kind == "deep alpha" else [])]
        write_png16(path, np.stack(channels, axis=-1), 6 if kind == "deep alpha" else 2)
    elif kind in {"P", "1"}:
        Image.fromarray(GRAY).convert(kind).save(path)
    else:
        values = {"gray": GRAY, "deep": DEEP, "float": DEEP / 7.0, "colour": COLOUR}
        values["alpha"] = np.dstack((COLOUR, varied))
        image = values[kind].astype(np.float32) if kind == "float" else values[kind]
        Image.fromarray(image).save(path)
    whole = read_image(path)
    monkeypatch.setattr(pixels, "_BAND", 15)
    assert (read_image(path) == whole).all()


def test_the_limit_counts_bytes_and_not_pixels(tmp_path, monkeypatch):
    shallow, deep = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(shallow)
    write_png16(deep, np.zeros((400, 400, 3), np.uint16), 2)
    monkeypatch.setattr(limits_module, "_in_force", [replace(limits_module.limits(), image_mib=0.5)])
    assert read_image(shallow).shape == (400, 400, 3)
    with pytest.raises(
        UserError, match=r"b\.png has 400 x 400 pixels and takes 1 MiB.*limits\.image_mib=0\.5: shrink"
    ):
        read_image(deep)
