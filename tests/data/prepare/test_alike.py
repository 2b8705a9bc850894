"""Near-duplicates: copies are found however they were saved, other scans are not, and chains hold together."""

import io
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.prepare.alike import alike_groups, groups_of_hashes, groups_of_links
from medsam_exp.types import UserError
from tests.data.prepare.miniatures import scan


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
    groups = alike_groups({name: lambda image=image: image for name, image in images.items()})
    assert groups == {"a3": "a3", "b": "a3", "a7": "a7", "c": "a7"}


def test_hashes_against_a_slow_search() -> None:
    draw = np.random.default_rng(0)
    hashes = {f"{n:03d}": draw.random(256) > 0.5 for n in range(300)}
    for n in range(0, 60, 3):  # chains: each differs from the one before in few bits
        changed = hashes[f"{n:03d}"].copy()
        changed[draw.choice(256, 40, replace=False)] ^= True
        hashes[f"{n + 1:03d}"] = changed
    names = sorted(hashes)
    near = [(a, b) for a in names for b in names if a < b and (hashes[a] != hashes[b]).sum() <= 64]
    assert groups_of_hashes(hashes) == groups_of_links(near)
    assert len(near) == 20


@pytest.mark.parametrize("seed", range(20))
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
        alike_groups(readers)
    assert alike_groups(readers, skip_faulty=True) == {"a": "a", "b": "a"}
