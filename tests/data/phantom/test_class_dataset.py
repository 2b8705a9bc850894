"""One sample for every lesion of a drawn scan."""

import pickle

import numpy as np

from medsam_exp.data.phantom.class_dataset import PhantomClassDataset
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.data.phantom.draw import draw_phantom
from medsam_exp.data.phantom.plan import Content
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import Dataset

MIXED = Content(normal_fraction=0.3, pair_fraction=0.4)


def mixed(count: int = 12) -> PhantomClassDataset:
    return PhantomClassDataset(seed=4, count=count, normal_fraction=0.3, pair_fraction=0.4)


def test_each_lesion_is_a_sample_with_its_own_class_text_and_truth():
    data: Dataset = mixed()
    samples = {sample.id: sample for sample in data.samples}
    assert list(samples) == sorted(samples)
    expected, counts = set(), set()
    for index in range(12):
        phantom, scan = draw_phantom(4, index, MIXED), f"phantom_4_{index:06d}"
        counts.add(len(phantom.lesions))
        for lesion, captions in zip(phantom.lesions, phantom.captions, strict=False):
            sample = samples[f"{scan}@{lesion.plan.class_name}"]
            expected.add(sample.id)
            assert sample.class_name == lesion.plan.class_name
            assert sample.description == captions[0]
            assert np.array_equal(data.read_ground_truth(sample.id), lesion.mask)
            assert np.array_equal(data.read_image(sample.id), phantom.image)
        if not phantom.lesions:
            expected.add(scan)
            assert (
                samples[scan]
                == {
                    s.id: s
                    for s in PhantomDataset(seed=4, count=12, normal_fraction=0.3, pair_fraction=0.4).samples
                }[scan]
            )
            assert not data.read_ground_truth(scan).any()
    assert set(samples) == expected
    assert counts == {0, 1, 2}


def test_classes_of_a_scan_always_differ():
    for seed in range(3):
        data = PhantomClassDataset(seed=seed, count=100)
        assert len({sample.id for sample in data.samples}) == len(data.samples) > 190


def test_digests_share_the_image_and_tell_the_lesions_apart():
    data, digests = PhantomClassDataset(seed=4, count=2), FileDigests()
    one, other = [sample.id for sample in data.samples][:2]
    assert data.image_digest(one, digests) == data.image_digest(other, digests)
    assert data.ground_truth_digest(one, digests) != data.ground_truth_digest(other, digests)


def test_survives_the_way_to_a_worker_process():
    data = PhantomClassDataset(seed=4, count=2)
    again = pickle.loads(pickle.dumps(data))
    for sample in data.samples:
        assert np.array_equal(again.read_ground_truth(sample.id), data.read_ground_truth(sample.id))
