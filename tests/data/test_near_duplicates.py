"""Copies are found by hashes and fine structure; checked against all pairs one at a time, by the library's own hash."""

import base64
import itertools
from collections.abc import Callable

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from medsam_exp.data.connected_components import connected_components
from medsam_exp.data.near_duplicates import (
    LEAST_CORRELATION,
    MOST_BITS,
    find_near_duplicates,
    perceptual_hashes,
)
from tests.clean_data import scan

TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda image: image,
    "mirrored": np.fliplr,
    "turned by 180 degrees": lambda image: np.rot90(image, 2),
    "upside down": np.flipud,
    "transposed": np.transpose,
    "turned by 90 degrees": np.rot90,
    "turned by 270 degrees": lambda image: np.rot90(image, 3),
    "transposed the other way": lambda image: np.rot90(image, 2).T,
}


def thumbnail(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((64, 64), Image.Resampling.BOX))


def found(images: list[np.ndarray]) -> list[tuple[int, int, str]]:
    small = [thumbnail(image) for image in images]
    packed = [base64.b64encode(each.tobytes()).decode() for each in small]
    return [
        (p.first, p.second, p.turned)
        for p in find_near_duplicates([perceptual_hashes(each) for each in small], packed)
    ]


def test_hashes_are_those_of_the_library_in_every_orientation():
    differing = 0
    for seed in range(12):
        small = thumbnail(scan(seed))
        for number, turn in zip(perceptual_hashes(small), TURNS.values(), strict=True):
            expected = imagehash.phash(Image.fromarray(np.ascontiguousarray(turn(small)))).hash.ravel()
            bits = np.array([number >> place & 1 for place in reversed(range(64))], dtype=bool)
            differing += int((bits != expected).sum())
    assert perceptual_hashes(thumbnail(scan(0)))[0] == int(
        str(imagehash.phash(Image.fromarray(thumbnail(scan(0))))), 16
    )
    assert differing <= 12  # of 6,144: the library rounds what it shrinks to whole gray values


def test_pairs_are_those_of_looking_at_each_pair():
    images = [scan(seed) for seed in range(24)]
    images += [
        np.fliplr(scan(3)),
        np.clip(scan(5) * 1.2, 0, 255).astype(np.uint8),
        scan(7) // 2,
        np.rot90(scan(9)),
    ]
    expected = []
    for a, b in itertools.combinations(range(len(images)), 2):
        for name, turn in TURNS.items():
            first, second = thumbnail(images[a]), np.ascontiguousarray(turn(thumbnail(images[b])))
            bits = imagehash.phash(Image.fromarray(first)) - imagehash.phash(Image.fromarray(second))
            if bits <= MOST_BITS and np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9:
                expected.append((a, b, name))
                break
    assert (
        found(images)
        == expected
        == [(3, 24, "mirrored"), (5, 25, ""), (7, 26, ""), (9, 27, "turned by 270 degrees")]
    )


def marked(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text((10, 70), "LT 3", fill=230)
    return np.asarray(picture)


def noisy(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "darker": lambda image: image // 2,
    "other gamma": lambda image: (255 * (image / 255) ** 0.7).astype(np.uint8),
    "half the size": lambda image: np.asarray(Image.fromarray(image).resize((60, 48))),
    "twice the size": lambda image: np.asarray(Image.fromarray(image).resize((240, 192))),
    "with marks": marked,
    "noisy": noisy,
    "cut a little": lambda image: image[2:-1, 1:-3],
    "with a black edge": lambda image: np.pad(image, ((0, 0), (0, 3))),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_changed_copies_are_found_and_nothing_else(change):
    images = [scan(seed) for seed in range(20)]
    assert found([*images, change(scan(8))]) == [(8, 20, "")]


def framed(image: np.ndarray) -> np.ndarray:
    """With the bright frame and black border of a figure."""
    inner = np.asarray(Image.fromarray(image).resize((100, 60)))
    return np.pad(np.pad(inner, 2, constant_values=255), ((16, 16), (8, 8)))


def test_a_common_frame_makes_no_copies():
    assert found([framed(scan(seed)) for seed in range(20)]) == []


def test_images_without_structure_are_no_copies():
    flat = [np.full((80, 80), gray, dtype=np.uint8) for gray in (0, 90, 255)]
    assert found(flat) == []
    assert found([]) == found(flat[:1]) == []


def test_order_does_not_matter():
    images = [*(scan(seed) for seed in range(10)), scan(4) // 2, np.flipud(scan(2))]
    order = np.random.default_rng(1).permutation(len(images))
    pairs = {frozenset((order[a], order[b])) for a, b, _ in found([images[place] for place in order])}
    assert (
        pairs == {frozenset((a, b)) for a, b, _ in found(images)} == {frozenset((4, 10)), frozenset((2, 11))}
    )


def test_correlation_limit_is_between_copies_and_strangers():
    assert 0.5 < LEAST_CORRELATION < 0.7


def test_chains_are_connected_parts():
    generator = np.random.default_rng(0)
    for _ in range(50):
        count = int(generator.integers(1, 12))
        links = [
            tuple(generator.integers(0, count, 2).tolist()) for _ in range(int(generator.integers(0, 10)))
        ]
        reach = np.eye(count, dtype=bool)
        for a, b in links:
            reach[a, b] = reach[b, a] = True
        for _ in range(count):
            reach = reach @ reach
        expected = sorted({tuple(np.flatnonzero(row).tolist()) for row in reach})
        assert [tuple(group) for group in connected_components(range(count), links)] == expected
