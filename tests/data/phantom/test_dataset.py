"""Drawn scans as a dataset and as pairs."""

import pickle

import numpy as np
import pytest

from medsam_exp.data.phantom import plan as plan_module
from medsam_exp.data.phantom.captions import COMPLETE
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.data.phantom.draw import captions_of, draw_phantom
from medsam_exp.data.phantom.pairs import PhantomPairs
from medsam_exp.data.phantom.plan import Content, plan_phantom
from medsam_exp.data.phantom.vocabulary import COLUMNS, ROWS, SIZE_WORDS
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import Dataset, PairSource, UserError


def test_a_dataset_of_drawings():
    data: Dataset = PhantomDataset(seed=4, count=6)
    assert [sample.id for sample in data.samples] == sorted(sample.id for sample in data.samples)
    assert data.pixel_spacing_mm(data.samples[0].id) is None
    assert data.has_ground_truth
    for index, sample in enumerate(data.samples):
        phantom = draw_phantom(4, index, Content())
        assert np.array_equal(data.read_image(sample.id), phantom.image)
        assert np.array_equal(data.read_ground_truth(sample.id), phantom.lesions[0].mask)
        assert sample.class_name == phantom.lesions[0].plan.class_name
        assert sample.description == phantom.captions[0][0]


def test_the_mask_of_every_lesion_is_told_apart_from_that_of_the_target():
    asked, every = (
        PhantomDataset(seed=4, count=3, pair_fraction=1.0, mask_shows=shows)
        for shows in ("target", "every_lesion")
    )
    for index, sample in enumerate(asked.samples):
        one, other = draw_phantom(4, index, Content(pair_fraction=1.0)).lesions
        assert np.array_equal(asked.read_ground_truth(sample.id), one.mask)
        assert np.array_equal(every.read_ground_truth(sample.id), one.mask | other.mask)
        digests = [data.ground_truth_digest(sample.id, FileDigests()) for data in (asked, every)]
        assert digests[0] != digests[1]


def test_more_scans_leave_the_first_ones_as_they_are():
    few, many = PhantomDataset(seed=4, count=3), PhantomDataset(seed=4, count=8)
    assert few.samples == many.samples[:3]
    first = few.samples[0].id
    assert np.array_equal(few.read_image(first), many.read_image(first))
    assert few.image_digest(first, FileDigests()) == many.image_digest(first, FileDigests())


def test_a_normal_scan_asks_for_what_is_not_there():
    data = PhantomDataset(seed=4, count=5, normal_fraction=1.0, pair_fraction=0.0)
    for sample in data.samples:
        truth = data.read_ground_truth(sample.id)
        assert truth.shape == data.read_image(sample.id).shape[:2]
        assert truth.dtype == bool
        assert not truth.any()
        assert sample.class_name is None
        assert sample.description


def test_the_wording_does_not_tell_whether_the_lesion_is_there():
    """Present and absent lesions are asked for in sentences of the same templates, which name size, tone and place."""
    places = [f"{row} {column}" for row in ROWS for column in COLUMNS if row != column] + ["center"]
    shares = ({"normal_fraction": 1.0, "pair_fraction": 0.0}, {"absent_fraction": 1.0}, {})
    for share in shares:
        for sample in PhantomDataset(seed=8, count=12, **share).samples:  # type: ignore[arg-type]
            for text in (sample.description, sample.contradiction):
                assert text is not None
                assert any(place in text for place in places)
                assert any(word in text for words in SIZE_WORDS.values() for word in words)


def test_an_absent_target_has_an_empty_mask_and_names_no_lesion_of_the_scan():
    absent = PhantomDataset(seed=4, count=12, absent_fraction=1.0)
    present = PhantomDataset(seed=4, count=12)
    for asked, other in zip(absent.samples, present.samples, strict=True):
        truthful = {text for group in captions_of(absent._plan(asked.id)) for text in group}
        assert not absent.read_ground_truth(asked.id).any()
        assert np.array_equal(absent.read_image(asked.id), present.read_image(asked.id))
        assert asked.description not in truthful
        assert other.description in truthful
        assert len({asked.description, asked.contradiction, other.description}) == 3
    some = PhantomDataset(seed=4, count=60, absent_fraction=0.5)
    share = np.mean([not some.read_ground_truth(sample.id).any() for sample in some.samples])
    assert 0.3 < share < 0.7


def test_absent_lesions_share_neither_class_nor_place_with_those_that_are_there():
    for index in range(30):
        plan = plan_phantom(7, index, Content(pair_fraction=0.5))
        absent = tuple(plan_module.absent_lesions(plan))
        everything = (*plan.lesions, *absent)
        assert len(absent) == 2
        for lesion in absent:
            others = [other for other in everything if other is not lesion]
            assert lesion.class_name not in {other.class_name for other in others}
            assert lesion.place not in {other.place for other in others}


def test_digests_follow_what_decides_the_drawing(monkeypatch: pytest.MonkeyPatch):
    def digest(**changes: object) -> str:
        data = PhantomDataset(**{"seed": 4, "count": 2, **changes})  # type: ignore[arg-type]
        return data.image_digest(data.samples[1].id, FileDigests())

    changes: list[dict[str, object]] = [{}, {"seed": 5}, {"pair_fraction": 1.0}, {"modalities": ["ct"]}]
    digests = [digest(**change) for change in changes]
    assert len(set(digests)) == len(changes)
    assert digest(name="other", target="tumor") == digests[0], "names do not change the picture"
    plan_phantom.cache_clear()
    monkeypatch.setattr(plan_module, "GENERATOR_VERSION", "next")
    assert digest() != digests[0]
    plan_phantom.cache_clear()


def test_survives_the_way_to_a_worker_process():
    data, pairs = PhantomDataset(seed=4, count=2), PhantomPairs(seed=4, count=2)
    for source in (data, pairs):
        again = pickle.loads(pickle.dumps(source))
        first = f"phantom_{4}_000000"
        assert np.array_equal(again.read_image(first), source.read_image(first))


def test_pairs_have_the_sentences_of_all_lesions():
    pairs: PairSource = PhantomPairs(seed=6, count=40, normal_fraction=0.2, pair_fraction=0.4)
    content = Content(normal_fraction=0.2, pair_fraction=0.4)
    counts = set()
    for index, pair_id in enumerate(pairs.ids):
        plan = plan_phantom(6, index, content)
        groups = captions_of(plan)
        captions = pairs.captions(pair_id)
        assert set(captions) <= {sentence for group in groups for sentence in group}
        if plan.lesions:
            assert all(set(group[: len(COMPLETE)]) <= set(captions) for group in groups)
            assert len(captions) == len(groups) * (len(COMPLETE) + 2)
        assert pairs.read_image(pair_id).shape[:2] == plan.shape
        counts.add(len(plan.lesions))
    assert counts == {0, 1, 2}


def test_digest_of_pairs_follows_their_arguments():
    def digest(seed: int, count: int, **changes: float) -> str:
        return PhantomPairs(seed, count, **changes).digest(FileDigests())  # type: ignore[arg-type]

    digests = [digest(0, 5), digest(1, 5), digest(0, 6), digest(0, 5, pair_fraction=0.1)]
    assert len(set(digests)) == 4
    assert digest(0, 5) == digests[0]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"count": 0}, "count"),
        ({"seed": -1}, "seed"),
        ({"modalities": ["pet"]}, "pet"),
        ({"modalities": []}, "modalities"),
        ({"normal_fraction": 0.7, "pair_fraction": 0.7}, "normal_fraction"),
        ({"pair_fraction": -0.1}, "pair_fraction"),
    ],
)
def test_senseless_arguments_are_refused(wrong: dict[str, object], named: str):
    for kind in (PhantomDataset, PhantomPairs):
        with pytest.raises(UserError, match=named):
            kind(**{"seed": 0, "count": 2, **wrong})


def test_a_senseless_share_of_absent_targets_is_refused():
    with pytest.raises(UserError, match="absent_fraction"):
        PhantomDataset(seed=0, count=2, absent_fraction=1.5)
