import pytest
import torch

from medsam_exp.runtime import distributed
from medsam_exp.training.clip_data import PairsDataModule
from medsam_exp.training.pair_inference import EmbeddedPairs, embed_pairs, in_order, pair_reader
from medsam_exp.training.prediction import PredictModule, batch_loader


@pytest.fixture
def embed(small_clip, small_pairs, make_trainer, monkeypatch):
    """Embeddings of 11 pairs, computed by as many processes as asked, one after the other."""

    def run(batch_size: int = 4, threads: int = 0, world_size: int = 1, seed: int = 0) -> EmbeddedPairs:
        clip, parts = small_clip(), []
        module = PredictModule(clip, lambda batch: [(embed_pairs(clip, batch),)], parts.append)
        read = pair_reader(small_pairs(11), clip, seed, batch_size)
        monkeypatch.setattr(distributed, "world_size", lambda: world_size)
        for rank in range(world_size):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            loader = batch_loader(range(11), read, batch_size=batch_size, threads=threads)
            make_trainer().predict(module, loader, return_predictions=False)
        return in_order(parts, 11)

    return run


def test_embeddings_are_those_of_each_pair_alone(embed, small_clip, small_pairs) -> None:
    clip, pairs, found = small_clip(), small_pairs(11), embed()
    for index, pair_id in enumerate(pairs.ids):
        image = clip.encode_image(clip.preprocess(pairs.read_image(pair_id))[None])[0]
        text = clip.encode_text(clip.tokenize([found.captions[index]]))[0]
        torch.testing.assert_close(found.image[index], image)
        torch.testing.assert_close(found.text[index], text)
        assert found.captions[index] in pairs.captions(pair_id)


@pytest.mark.parametrize("options", [{"world_size": 2}, {"world_size": 5}, {"threads": 2}])
def test_processes_and_threads_change_nothing(embed, options: dict[str, int]) -> None:
    one, other = embed(), embed(**options)
    assert one.captions == other.captions
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.text, other.text)


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_batch_size_changes_no_more_than_rounding(embed, batch_size: int) -> None:
    one, other = embed(), embed(batch_size=batch_size)
    assert one.captions == other.captions
    torch.testing.assert_close(one.image, other.image, rtol=0, atol=1e-6)
    torch.testing.assert_close(one.text, other.text, rtol=0, atol=1e-6)


def test_captions_are_those_of_validation_while_training(embed, small_clip, small_pairs) -> None:
    clip = small_clip()
    data = PairsDataModule(
        small_pairs(4),
        small_pairs(11),
        clip.preprocess,
        clip.tokenize,
        batch_size=2,
        seed=7,
        val_batch_size=11,
    )
    (batch,) = data.val_dataloader()
    assert torch.equal(batch.tokens, clip.tokenize(embed(seed=7).captions))
    assert {embed(seed=seed).captions for seed in (7, 7, 8)} == {embed(seed=seed).captions for seed in (7, 8)}
    assert embed(seed=7).captions != embed(seed=8).captions


def test_every_batch_has_one_shape_and_padding_is_no_pair(small_clip, small_pairs) -> None:
    read = pair_reader(small_pairs(11), small_clip(), seed=0, batch_size=4)
    batches = list(batch_loader(range(11), read, batch_size=4, threads=0))
    assert {(len(batch.images), len(batch.tokens)) for batch in batches} == {(4, 4)}
    assert [index for batch in batches for index in batch.indices] == list(range(11))
    assert torch.equal(batches[-1].images[2], batches[-1].images[3])


@pytest.mark.parametrize("indices", [(0, 2), (0, 1, 1, 2), (0, 1, 2, 3)])
def test_a_missing_or_doubled_pair_is_noticed(indices: tuple[int, ...]) -> None:
    rows = torch.zeros(len(indices), 2)
    part = EmbeddedPairs(indices, ("a",) * len(indices), rows, rows)
    with pytest.raises(RuntimeError, match="embeddings came for 3 pairs"):
        in_order([part], 3)
