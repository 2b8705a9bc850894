from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medsam_exp.training.clip_data import PairsDataModule, random_crop
from medsam_exp.training.training_data import EpochSampler
from medsam_exp.types import UserError


def batches(clip, pairs, epoch=0, **options):
    settings = {"batch_size": 4, "seed": 3, "smallest_crop": 0.5} | options
    data = PairsDataModule(pairs, None, clip.preprocess, clip.tokenize, **settings)
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler._trained_batches = lambda: epoch * data.batches_per_epoch
    return list(loader)


def by_caption(loaded):
    """Images by the pair that the caption's last letters name."""
    return {
        tuple(tokens[1:].tolist()): (image, tokens)
        for batch in loaded
        for image, tokens in zip(batch.image, batch.tokens, strict=True)
    }


def test_a_pair_depends_on_seed_epoch_and_id_alone(small_clip, small_pairs) -> None:
    clip, pairs = small_clip(), small_pairs(12)
    expected = by_caption(batches(clip, pairs))
    variants = {
        "workers": batches(clip, pairs, workers=2),
        "other batches": batches(clip, pairs, batch_size=3),
        "memory": batches(clip, pairs, cache_images=True),
        "memory, workers": batches(clip, pairs, cache_images=True, workers=2),
    }
    for name, loaded in variants.items():
        found = by_caption(loaded)
        assert found.keys() == expected.keys(), name
        for key, (image, tokens) in found.items():
            assert torch.equal(image, expected[key][0]), name
            assert torch.equal(tokens, expected[key][1]), name


@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 4}])
def test_other_epoch_or_seed_gives_other_crops_captions_and_order(small_clip, small_pairs, change) -> None:
    clip, pairs = small_clip(), small_pairs(12)
    first, other = batches(clip, pairs), batches(clip, pairs, **change)
    assert not torch.equal(torch.cat([b.tokens for b in first]), torch.cat([b.tokens for b in other]))
    left, right = by_caption(first), by_caption(other)
    assert left.keys() == right.keys()
    assert sum(not torch.equal(left[key][0], right[key][0]) for key in left) > 8
    assert 0 < sum(not torch.equal(left[key][1], right[key][1]) for key in left) < 12


def test_incomplete_batches_are_left_out(small_clip, small_pairs) -> None:
    loaded = batches(small_clip(), small_pairs(11))
    assert [tuple(batch.image.shape) for batch in loaded] == [(4, 3, 4, 4)] * 2
    assert loaded[0].tokens.dtype == torch.int64


def test_validation_shows_whole_images_in_order_whatever_the_epoch(small_clip, small_pairs) -> None:
    clip, pairs = small_clip(), small_pairs(5)
    data = PairsDataModule(pairs, pairs, clip.preprocess, clip.tokenize, batch_size=2, seed=0)
    loader = data.val_dataloader()
    (first,) = loader
    loader.sampler._trained_batches = lambda: 7
    (later,) = loader
    expected = torch.stack([clip.preprocess(pairs.read_image(pair_id)) for pair_id in pairs.ids])
    assert torch.equal(first.image, expected)
    assert torch.equal(first.tokens, later.tokens)
    assert (
        PairsDataModule(pairs, None, clip.preprocess, clip.tokenize, batch_size=2, seed=0).val_dataloader()
        == []
    )


def test_processes_share_each_batch_of_one_process() -> None:
    def order(trained: int, **process: int) -> list[tuple[int, int]]:
        sampler = EpochSampler(26, 6, 4, 1, lambda: trained, **process)
        assert len(sampler) * sampler.num_replicas == 24
        return list(sampler)

    alone = order(20)
    parts = [order(20, rank=rank, world_size=3) for rank in range(3)]
    assert [item for batch in range(4) for part in parts for item in part[2 * batch : 2 * batch + 2]] == alone
    assert len({index for _, index in alone}) == 24
    assert {epoch for epoch, _ in alone} == {5}
    assert order(22) == alone[12:]
    assert order(23, rank=1, world_size=3) == parts[1][6:]


@pytest.mark.parametrize(("size", "batch_size", "processes"), [(7, 7, 2), (11, 5, 2), (11, 5, 4), (9, 2, 4)])
def test_processes_see_the_validation_batches_of_one_and_padding_after(
    size: int, batch_size: int, processes: int
) -> None:
    batches = size // batch_size
    parts = [
        list(EpochSampler(size, batch_size, batches, None, lambda: 0, rank=rank, world_size=processes))
        for rank in range(processes)
    ]
    share = len(parts[0]) // batches
    assert {len(part) for part in parts} == {batches * share}
    for batch in range(batches):
        together = [index for part in parts for _, index in part[batch * share : (batch + 1) * share]]
        first = batch * batch_size
        assert together[:batch_size] == list(range(first, first + batch_size))
        assert set(together[batch_size:]) <= {first + batch_size - 1}


def test_crop_keeps_the_asked_share_and_mirrors_nothing() -> None:
    rows, columns = np.mgrid[:40, :60]
    image = np.stack([rows, columns, rows], axis=-1).astype(np.uint8)
    sizes = set()
    for seed in range(200):
        crop = random_crop(image, 0.81, np.random.default_rng(seed))
        sizes.add(crop.shape)
        assert crop.shape[0] >= 36
        assert crop.shape[1] >= 54
        assert (np.diff(crop[:, 0, 0].astype(int)) == 1).all()
        assert (np.diff(crop[0, :, 1].astype(int)) == 1).all()
    assert len(sizes) > 10
    assert np.array_equal(random_crop(image, 1.0, np.random.default_rng(0)), image)
    assert random_crop(image[:1, :1], 0.5, np.random.default_rng(0)).shape == (1, 1, 3)


def test_impossible_settings_are_clear_errors(small_clip, small_pairs) -> None:
    clip, pairs = small_clip(), small_pairs(3)

    def module(**options):
        settings = {"batch_size": 2, "seed": 0} | options
        return PairsDataModule(pairs, settings.pop("val", None), clip.preprocess, clip.tokenize, **settings)

    with pytest.raises(UserError, match="There are 3 training samples, fewer than one batch of 4"):
        module(batch_size=4).train_dataloader()
    with pytest.raises(UserError, match="smallest_crop is 0"):
        module(smallest_crop=0.0)
    with pytest.raises(UserError, match="at least two pairs"):
        module(val=small_pairs(1))
    data = module(batch_size=3)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, limit_train_batches=1.0)
    with pytest.raises(UserError, match="3 cannot be shared equally by 2 devices"):
        data.train_dataloader()


def test_a_limited_epoch_counts_as_an_epoch(small_clip, small_pairs) -> None:
    clip = small_clip()
    data = PairsDataModule(small_pairs(20), None, clip.preprocess, clip.tokenize, batch_size=2, seed=0)
    for limit, batches in ((1.0, 10), (0.5, 5), (0.01, 1), (3, 3), (30, 10)):
        data.trainer = SimpleNamespace(limit_train_batches=limit)
        assert data.batches_per_epoch == batches
