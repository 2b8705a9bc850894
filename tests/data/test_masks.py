import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from medsam_exp.data.masks import read_mask
from medsam_exp.types import UserError

ROWS, COLUMNS = np.mgrid[:48, :64]
DISK = (ROWS - 20) ** 2 + (COLUMNS - 30) ** 2 < 12**2
OTHER = COLUMNS > 50
NOTHING, EVERYTHING = np.zeros_like(DISK), np.ones_like(DISK)


def as_rgb(where: np.ndarray, low: tuple[int, ...], high: tuple[int, ...]) -> np.ndarray:
    return np.where(where[..., None], np.array(high, np.uint8), np.array(low, np.uint8))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 7), (3, 200)])
def test_two_values(tmp_path, suffix, low, high):
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(np.where(DISK, high, low).astype(np.uint8)).save(path)
    mask, lossy = read_mask(path)
    assert mask.dtype == np.bool_
    assert not lossy
    np.testing.assert_array_equal(mask, DISK)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_values_are_not_stretched_away(tmp_path, dtype):
    Image.fromarray(DISK.astype(dtype)).save(tmp_path / "mask.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif")[0], DISK)


@pytest.mark.parametrize(("value", "expected"), [(0, NOTHING), (1, EVERYTHING), (255, EVERYTHING)])
def test_one_value(tmp_path, value, expected):
    Image.fromarray(np.full(DISK.shape, value, np.uint8)).save(tmp_path / "mask.png")
    mask, lossy = read_mask(tmp_path / "mask.png")
    assert not lossy
    np.testing.assert_array_equal(mask, expected)


def test_one_bit_mask(tmp_path):
    Image.fromarray(DISK).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[0], DISK)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((0, 0, 0), (255, 255, 255)),
        ((0, 0, 0), (0, 1, 0)),
        ((68, 1, 84), (253, 231, 36)),
        ((0, 0, 128), (128, 0, 128)),
    ],
)
def test_two_colours_the_brighter_is_foreground(tmp_path, low, high):
    Image.fromarray(as_rgb(DISK, low, high)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[0], DISK)


def test_palette_mask_is_read_by_its_colours(tmp_path):
    mask = Image.fromarray((~DISK).astype(np.uint8), mode="P")  # entry 0 is the white one
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[0], DISK)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 0, 0)])
def test_one_colour_painted_on_transparency(tmp_path, colour):
    alpha = np.where(DISK, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([as_rgb(DISK, colour, colour), alpha])).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[0], DISK)


def test_opaque_rgba_and_la(tmp_path):
    opaque = np.full(DISK.shape, 255, np.uint8)
    white = np.where(DISK, 255, 0).astype(np.uint8)
    for channels in ([white, opaque], [white, white, white, opaque]):
        Image.fromarray(np.dstack(channels)).save(tmp_path / "mask.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[0], DISK)


@pytest.mark.parametrize("quality", [10, 30, 75, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_ringing_is_thresholded_and_told(tmp_path, quality, mode):
    Image.fromarray(np.where(DISK, 255, 0).astype(np.uint8)).convert(mode).save(
        tmp_path / "m.jpg", quality=quality
    )
    with Image.open(tmp_path / "m.jpg") as stored:
        assert len(np.unique(np.asarray(stored))) > 2
    mask, lossy = read_mask(tmp_path / "m.jpg")
    assert lossy
    assert (mask != DISK).mean() < 0.005


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
@pytest.mark.parametrize(("value", "expected"), [(0, NOTHING), (255, EVERYTHING)])
def test_constant_jpeg_stays_constant(tmp_path, quality, value, expected):
    Image.fromarray(np.full(DISK.shape, value, np.uint8)).save(tmp_path / "mask.jpg", quality=quality)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.jpg")[0], expected)


def test_png_saved_from_jpeg_is_thresholded_too(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.where(DISK, 255, 0).astype(np.uint8)).save(buffer, "JPEG", quality=30)
    Image.open(buffer).save(tmp_path / "mask.png")
    mask, lossy = read_mask(tmp_path / "mask.png")
    assert lossy
    assert (mask != DISK).mean() < 0.005


def test_soft_edges_are_thresholded_at_half(tmp_path):
    soft = np.rint(gaussian_filter(DISK.astype(float), 0.7) * 255).astype(np.uint8)
    Image.fromarray(soft).save(tmp_path / "mask.png")
    mask, lossy = read_mask(tmp_path / "mask.png")
    assert lossy
    np.testing.assert_array_equal(mask, soft > soft.max() / 2)


def test_zero_one_mask_ruined_by_jpeg_is_refused(tmp_path):
    low_contrast = np.where(DISK, 12, 0).astype(np.uint8)
    Image.fromarray(low_contrast).save(tmp_path / "mask.jpg", quality=75)
    with pytest.raises(UserError, match=r"mask\.jpg is lossy and as dark as \d+ of 255"):
        read_mask(tmp_path / "mask.jpg")


@pytest.mark.parametrize(("first", "second"), [(1, 2), (128, 255), (1, 255)])
def test_class_labels_are_refused_by_their_values(tmp_path, first, second):
    labels = np.select([DISK, OTHER], [first, second], 0).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=rf"mask\.png .*\(0, {first}, {second}\).*data\.mask_values"):
        read_mask(tmp_path / "mask.png")


def test_class_labels_with_the_targets_values(tmp_path):
    labels = np.select([DISK, OTHER], [1, 2], 0).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (1,))[0], DISK)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (2,))[0], OTHER & ~DISK)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (1, 2))[0], DISK | OTHER)


def test_class_labels_in_jpeg_are_refused(tmp_path):
    labels = np.select([DISK, OTHER], [128, 255], 0).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "mask.jpg", quality=80)
    with pytest.raises(UserError, match=r"mask\.jpg has more than two levels"):
        read_mask(tmp_path / "mask.jpg")
    with pytest.raises(UserError, match=r"mask\.jpg is lossy, so its labels are blurred"):
        read_mask(tmp_path / "mask.jpg", (128,))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_coloured_classes_are_refused_and_not_merged(tmp_path, suffix):
    red, green = as_rgb(DISK, (0, 0, 0), (255, 0, 0)), as_rgb(OTHER, (0, 0, 0), (0, 255, 0))
    Image.fromarray(np.maximum(red, green)).save(tmp_path / f"mask.{suffix}")
    with pytest.raises(UserError, match=rf"mask\.{suffix} has (more than )?\d+ colours"):
        read_mask(tmp_path / f"mask.{suffix}")


def test_scan_in_place_of_a_mask_is_refused(tmp_path):
    noise = np.random.default_rng(0).normal(size=DISK.shape)
    scan = np.rint(120 + 60 * gaussian_filter(noise, 6) / gaussian_filter(noise, 6).std()).clip(0, 255)
    Image.fromarray(scan.astype(np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match="more than two levels"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_negative_and_missing_numbers_are_refused(tmp_path, bad):
    values = np.where(DISK, 1.0, bad).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "mask.tif")
    with pytest.raises(UserError, match="negative or non-finite"):
        read_mask(tmp_path / "mask.tif")


def test_truncated_mask_is_named(tmp_path):
    Image.fromarray(np.where(DISK, 255, 0).astype(np.uint8)).save(tmp_path / "mask.bmp")
    (tmp_path / "mask.bmp").write_bytes((tmp_path / "mask.bmp").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"mask\.bmp cannot be read"):
        read_mask(tmp_path / "mask.bmp")


@pytest.mark.parametrize("quality", [20, 75])
def test_real_masks_survive_jpeg(shared_data, tmp_path, quality):
    for path in sorted((shared_data / "breast_tumors" / "val_masks").iterdir())[:10]:
        true, lossy = read_mask(path)
        assert not lossy
        with Image.open(path) as stored:
            np.testing.assert_array_equal(true, np.asarray(stored) == 255)
            stored.save(tmp_path / "mask.jpg", quality=quality)
        read, lossy = read_mask(tmp_path / "mask.jpg")
        assert lossy
        assert 2 * (read & true).sum() / (read.sum() + true.sum()) > 0.99


def test_real_original_busi_masks(shared_data):
    """One-bit masks with foreground, and empty RGB masks for normal breasts."""
    busi = shared_data / "raw" / "BUSI"
    assert all(read_mask(path)[0].any() for path in busi.glob("malignant/*_mask.png"))
    assert not any(read_mask(path)[0].any() for path in busi.glob("normal/*_mask.png"))


def test_real_scans_are_no_masks(shared_data):
    for folder in ("breast_tumors", "brain_tumors"):
        for path in sorted((shared_data / folder / "test_images").iterdir()):
            with pytest.raises(UserError, match="more than two levels"):
                read_mask(path)


def low_bits(where: np.ndarray, bits: int, palette: bytes = b"") -> bytes:
    """A PNG of numbers in so few bits, gray or of a palette, as optimisers of files write them."""
    lines = (np.unpackbits(line.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :].ravel() for line in where)
    raw = b"".join(b"\0" + np.packbits(line).tobytes() for line in lines)
    head = struct.pack(">IIBBBBB", where.shape[1], where.shape[0], bits, 3 if palette else 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    chunks[1:1] = [(b"PLTE", palette)] if palette else []
    crcs = [(kind, data, zlib.crc32(kind + data)) for kind, data in chunks]
    parts = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc) for kind, data, crc in crcs)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


COLOURS = bytes([0, 0, 0, 255, 255, 255, 200, 0, 0, 0, 0, 90])
GRAYS = bytes([0, 0, 0, 255, 255, 255, 99, 99, 99, 7, 7, 7])


@pytest.mark.parametrize("palette", [b"", COLOURS, GRAYS], ids=["gray", "colours", "grays"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_asked_values_are_the_stored_numbers(tmp_path, bits, palette):
    labels = np.select([DISK, OTHER], [1, 2], 0)
    (tmp_path / "mask.png").write_bytes(low_bits(labels, bits, palette))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (1,))[0], DISK)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (2, 3))[0], OTHER & ~DISK)
    with pytest.raises(UserError, match=r"0, 1, 2\).* data\.mask_values"):
        read_mask(tmp_path / "mask.png")


def test_a_mask_of_one_bit_has_ones(tmp_path):
    Image.fromarray(DISK).save(tmp_path / "mask.png")
    for value in (1, 255):  # stored, and shown
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (value,))[0], DISK)
    assert not read_mask(tmp_path / "mask.png", (2,))[0].any()


def test_values_of_16_bits(tmp_path):
    labels = np.select([DISK, OTHER], [1000, 40000], 0).astype(np.uint16)
    Image.fromarray(labels).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", (40000,))[0], OTHER & ~DISK)


@pytest.mark.parametrize("depth", [255, 65535])
def test_soft_masks_of_probabilities(tmp_path, depth):
    soft = gaussian_filter(DISK.astype(float), 2.0)
    Image.fromarray(np.rint(soft * depth).astype(np.uint8 if depth == 255 else np.uint16)).save(
        tmp_path / "m.png"
    )
    mask, lossy = read_mask(tmp_path / "m.png")
    assert lossy
    np.testing.assert_array_equal(mask, np.rint(soft * depth) > np.rint(soft * depth).max() / 2)
