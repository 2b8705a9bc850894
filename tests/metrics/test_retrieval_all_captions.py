"""Retrieval with all captions against loops over sets of captions."""

import numpy as np
import pytest
import torch

from medsam_exp.metrics.retrieval import OneCaption, caption_groups
from medsam_exp.metrics.retrieval_all_captions import AllCaptions, CaptionedImages, EachCaption
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.types import RGBImage

CAPTIONS = (("a", "b"), ("c",), ("b", "d", "e"), ("f",), ("g", "h"), ("c", "i"), ("j",))


class Source:
    """Seven images with one to three captions, two of which are of two images."""

    ids = tuple(f"image{number}" for number in range(len(CAPTIONS)))
    notes = ("cleaned",)
    patients = None

    def read_image(self, pair_id: str) -> RGBImage:
        return np.full((2, 2, 3), int(pair_id[-1]), np.uint8)

    def captions(self, pair_id: str) -> tuple[str, ...]:
        return CAPTIONS[int(pair_id[-1])]

    def digest(self, digests: object) -> str:
        return "digest"


@pytest.fixture
def embedded() -> tuple[CaptionedImages, list[str]]:
    pairs = EachCaption(Source())
    captions = [pairs.captions(pair_id)[0] for pair_id in pairs.ids]
    image, text = torch.randn(2, len(captions), 4, generator=torch.Generator().manual_seed(0))
    first = torch.tensor(pairs.firsts)
    return CaptionedImages(image[first], text, torch.tensor(pairs.owners), caption_groups(captions)), captions


def slow(
    images: CaptionedImages, captions: list[str], some: list[int], k: int
) -> dict[str, dict[int, float]]:
    """Hits of these images among their captions, and of these captions among the images, by sorting."""
    texts = [row for row, owner in enumerate(images.owner.tolist()) if owner in some]
    similarity = (images.image @ images.text.T).numpy()
    by_image = {
        i: float(any(captions[t] in CAPTIONS[i] for t in sorted(texts, key=lambda t: -similarity[i, t])[:k]))
        for i in some
    }
    by_text = {
        t: float(any(captions[t] in CAPTIONS[i] for i in sorted(some, key=lambda i: -similarity[i, t])[:k]))
        for t in texts
    }
    return {"image_to_text": by_image, "text_to_image": by_text}


def test_each_caption_is_a_pair_with_its_image() -> None:
    pairs = EachCaption(Source())
    assert len(pairs.ids) == len(set(pairs.ids)) == 12
    assert pairs.owners == (0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 5, 6)
    assert pairs.firsts == (0, 2, 3, 6, 7, 9, 11)
    assert [pairs.captions(pair_id) for pair_id in pairs.ids[3:6]] == [("b",), ("d",), ("e",)]
    assert pairs.read_image(pairs.ids[5])[0, 0, 0] == 2
    assert (pairs.notes, pairs.digest(object())) == (("cleaned",), "digest")  # type: ignore[arg-type]


@pytest.mark.parametrize("rows_at_once", [None, 2])
def test_among_all_equals_a_slow_loop(
    embedded: tuple[CaptionedImages, list[str]], rows_at_once: int | None
) -> None:
    images, captions = embedded
    for way, found in images.of_all((1, 3), rows_at_once).items():
        for k, hits in found.items():
            assert hits.tolist() == list(slow(images, captions, list(range(7)), k)[way].values())


def test_batches_equal_a_slow_loop_and_the_last_one_counts(
    embedded: tuple[CaptionedImages, list[str]],
) -> None:
    images, captions = embedded
    found = images.in_batches(3, shuffles=4, seed=2)
    for shuffle in range(4):
        order = torch.randperm(7, generator=torch_generator(2, "retrieval", shuffle)).tolist()
        for batch in (order[:3], order[3:6], order[6:]):
            for k in (1, 2):
                for way, hits in slow(images, captions, batch, k).items():
                    for query, hit in hits.items():
                        assert found[way][k][shuffle, query] == hit


def test_a_perfect_network_finds_all_and_a_dumb_one_guesses() -> None:
    pairs = EachCaption(Source())
    captions = [pairs.captions(pair_id)[0] for pair_id in pairs.ids]
    where = torch.zeros(12, 7)  # a caption looks like its images, an image like itself
    for row, caption in enumerate(captions):
        for number, own in enumerate(CAPTIONS):
            where[row, number] = caption in own
    image = torch.eye(7)[torch.tensor(pairs.owners)]
    protocol = AllCaptions("validation", batch_size=3, shuffles=2)
    record = protocol.measure(pairs, image, where, captions, seed=0)
    assert {name: figure["mean"] for name, figure in record["figures"].items()} == pytest.approx(
        dict.fromkeys(record["figures"], 1.0)
    )
    assert (record["facts"]["last_batch"], record["facts"]["texts"]) == (1, 10)
    alike = protocol.measure(pairs, torch.ones(12, 2), torch.ones(12, 2), captions, seed=0)["figures"]
    for figure in alike.values():
        assert figure["mean"] == pytest.approx(figure["chance"])
    assert alike["recall1_text_to_image"]["chance"] == pytest.approx((8 * 1 / 7 + 4 * 2 / 7) / 12)
    assert [alike[f"recall1_{way}"]["n"] for way in ("image_to_text", "text_to_image")] == [7, 12]


def test_with_one_caption_an_image_it_is_the_other_protocol_without_a_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Source, "captions", lambda _, pair_id: (f"caption of {pair_id}",))
    image, text = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1))
    captions = [f"caption of {pair_id}" for pair_id in Source.ids]
    one = OneCaption("validation", 7, 2).measure(Source(), image, text, captions, seed=0)
    every = AllCaptions("validation", 7, 2).measure(EachCaption(Source()), image, text, captions, seed=0)
    assert every["figures"].keys() == one["figures"].keys()
    for name, figure in one["figures"].items():
        for part, value in figure.items():
            assert every["figures"][name][part] == pytest.approx(value)


def test_captions_are_drawn_with_their_image_and_images_with_their_patient() -> None:
    patients = {name: f"p{min(number, 5)}" for number, name in enumerate(Source.ids)}
    found = {}
    for known in (None, patients):
        source = Source()
        source.patients = known
        pairs = EachCaption(source)
        image, text = torch.randn(2, len(pairs.ids), 4, generator=torch.Generator().manual_seed(0))
        captions = [pairs.captions(name)[0] for name in pairs.ids]
        found[known is None] = AllCaptions("validation", 3, 2).measure(pairs, image, text, captions, seed=0)
    assert "patients" not in found[True]["facts"]
    assert found[False]["facts"]["patients"] == 6
    for name, figure in found[True]["figures"].items():
        assert "patients" not in figure
        assert figure["mean"] == found[False]["figures"][name]["mean"]
    assert (
        found[True]["figures"]["recall1_text_to_image"]["ci95"]
        != found[False]["figures"]["recall1_text_to_image"]["ci95"]
    )
