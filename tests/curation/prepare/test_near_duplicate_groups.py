"""Near-duplicates: copies are found however they were saved, other scans are not, and chains hold together."""

import io
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.curation.prepare.splitting import LEAST_OF_A_GROUP, groups_of_links, near_duplicate_groups
from medsam_exp.data.decoding import read_image
from medsam_exp.data.near_duplicates import (
    LEAST_CORRELATION,
    find_near_duplicates,
    make_thumbnail,
    pack_thumbnail,
    perceptual_hashes,
)
from medsam_exp.types import UserError
from tests.curation.prepare.miniatures import scan


def rgb(n: int) -> np.ndarray:
    return np.repeat(scan(n, (96, 128))[..., None], 3, axis=2)


def saved_again(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).resize((140, 104)).save(file, format="JPEG", quality=70)
    return np.asarray(Image.open(file))


def test_copies_are_alike_and_other_scans_are_not() -> None:
    images = {f"a{n}": rgb(n) for n in range(12)}
    images["b"] = np.clip(rgb(3).astype(int) + 20, 0, 255).astype(np.uint8)
    images["c"] = saved_again(rgb(7))
    groups = near_duplicate_groups({name: lambda image=image: image for name, image in images.items()})
    assert groups == {"a3": "a3", "b": "a3", "a7": "a7", "c": "a7"}


def test_frames_of_one_lesion_stay_together_sooner_than_they_are_reported(shared_data: Path) -> None:
    assert LEAST_OF_A_GROUP < LEAST_CORRELATION
    folder = shared_data / "breast_tumors" / "train_images"
    numbers = (27, 28, 30, 128, 129, 131)  # two lesions in two frames each, and strangers
    readers = {f"{n:03d}": partial(read_image, folder / f"malignant_{n}.png") for n in numbers}
    assert near_duplicate_groups(readers) == {"027": "027", "028": "027", "128": "128", "129": "128"}
    seen = [make_thumbnail(np.ascontiguousarray(readers[n]()[..., 0])) for n in ("027", "028")]
    assert (
        find_near_duplicates(
            [perceptual_hashes(each) for each in seen], [pack_thumbnail(each) for each in seen]
        )
        == []
    )


def test_images_without_structure_that_are_the_same_stay_together() -> None:
    black = np.zeros((96, 128, 3), np.uint8)
    assert near_duplicate_groups({"a": lambda: black, "b": lambda: black, "c": lambda: rgb(1)}) == {
        "a": "a",
        "b": "a",
    }


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_links_are_the_connected_parts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    links = [(str(a), str(b)) for a, b in draw.integers(0, 40, (25, 2)) if a != b]
    reached = defaultdict(set)
    for name in {name for link in links for name in link}:
        reached[name] = {name}
        for _ in range(40):
            reached[name] |= {b for link in links for a, b in (link, link[::-1]) if a in reached[name]}
    assert groups_of_links(links) == {name: min(found) for name, found in reached.items()}


def test_an_unreadable_image_stops_or_counts_for_nothing() -> None:
    def broken() -> np.ndarray:
        raise UserError("x.png cannot be read: replace it")

    readers = {"a": lambda: rgb(1), "b": lambda: rgb(1), "x": broken}
    with pytest.raises(UserError, match=r"x.png"):
        near_duplicate_groups(readers)
    assert near_duplicate_groups(readers, skip_faulty=True) == {"a": "a", "b": "a"}
