import math
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
import torch.multiprocessing as mp
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import distributed

from medsam_exp.clip.loss.infonce import InfoNCE
from medsam_exp.clip.loss.infonce_learned import InfoNCELearned
from medsam_exp.training.callbacks import FiniteWeights
from medsam_exp.training.clip_data import PairsDataModule
from medsam_exp.training.clip_finetune import ClipFinetuneModule, spread, top1
from medsam_exp.types import PairBatch, UserError


def data_for(clip, pairs, val_pairs=None, **options):
    settings = {"batch_size": 4, "seed": 0} | options
    return PairsDataModule(pairs, val_pairs, clip.preprocess, clip.tokenize, **settings)


def test_learns_a_handful_of_pairs(small_clip, small_pairs, make_trainer, adamw, cosine) -> None:
    clip, pairs = small_clip(), small_pairs(12)
    module = ClipFinetuneModule(clip, InfoNCELearned(0.07, 0.01), adamw, cosine, seed=0)
    trainer = make_trainer(max_epochs=40, check_val_every_n_epoch=40)
    trainer.fit(module, data_for(clip, pairs, pairs))
    seen = trainer.callback_metrics
    assert seen["val/top1_image_to_text"] == seen["val/top1_text_to_image"] == 1
    assert seen["val/loss"] < 0.2 * 2 * math.log(12)
    assert 0.3 < seen["val/image_spread"] < 1.2
    assert seen["train/temperature"] != pytest.approx(0.07, abs=1e-3)
    assert clip.logit_scale.item() == pytest.approx(-math.log(module.loss.temperature.item()))
    assert module.training


def test_a_fixed_temperature_is_carried_by_the_network(
    small_clip, small_pairs, make_trainer, adamw, cosine
) -> None:
    clip = small_clip()
    module = ClipFinetuneModule(clip, InfoNCE(0.6), adamw, cosine, seed=0)
    make_trainer(max_epochs=1).fit(module, data_for(clip, small_pairs(4)))
    assert clip.logit_scale.item() == pytest.approx(-math.log(0.6))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [3, 4], ids=["within an epoch", "between epochs"])
def test_a_killed_training_goes_on_as_if_undisturbed(
    small_clip, small_pairs, make_trainer, adamw, cosine, tmp_path: Path, workers: int, step: int
) -> None:
    class Kill(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
            if trainer.global_step == step:
                raise KeyError("killed")

    def module_and_data():
        clip, pairs = small_clip(dropout=0.5), small_pairs(9)
        module = ClipFinetuneModule(clip, InfoNCELearned(0.07, 0.01), adamw, cosine, seed=0)
        return module, data_for(clip, pairs, pairs, workers=workers)

    whole, data = module_and_data()
    make_trainer(max_epochs=4).fit(whole, datamodule=data)

    saver = ModelCheckpoint(tmp_path, filename="last", every_n_train_steps=1)
    killed, data = module_and_data()
    trainer = make_trainer(max_epochs=4, enable_checkpointing=True, callbacks=[saver, Kill()])
    with pytest.raises(KeyError, match="killed"):
        trainer.fit(killed, datamodule=data)

    resumed, data = module_and_data()
    trainer = make_trainer(max_epochs=4)
    trainer.fit(resumed, datamodule=data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert trainer.global_step == 8
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_two_runs_are_equal_and_another_seed_is_not(
    small_clip, small_pairs, make_trainer, adamw, cosine
) -> None:
    def weights(seed: int) -> torch.Tensor:
        clip = small_clip()
        module = ClipFinetuneModule(clip, InfoNCE(0.1), adamw, cosine, seed=0)
        make_trainer(max_epochs=2).fit(module, data_for(clip, small_pairs(8), seed=seed))
        return clip.vision[0].weight.detach()

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_loss_that_is_not_finite_stops_the_training(small_clip, small_pairs, make_trainer, cosine) -> None:
    clip = small_clip()
    module = ClipFinetuneModule(clip, InfoNCE(0.1), partial(torch.optim.SGD, lr=float("inf")), cosine, seed=0)
    with pytest.raises(UserError, match=r"became nan at step 1 of epoch 0: lower optimizer.lr"):
        make_trainer(max_epochs=1).fit(module, data_for(clip, small_pairs(8)))


def test_before_the_first_step_the_weights_are_to_blame_not_the_rate(
    small_clip, small_pairs, make_trainer, adamw, cosine
) -> None:
    clip = small_clip()
    with torch.no_grad():
        clip.vision[0].weight[2, 3] = math.nan
    module = ClipFinetuneModule(clip, InfoNCE(0.1), adamw, cosine, seed=0)
    with pytest.raises(
        UserError, match=r"before the first step.*the first is clip\.vision\.0\.weight"
    ) as told:
        make_trainer(max_epochs=1).fit(module, data_for(clip, small_pairs(8)))
    assert "optimizer.lr" not in str(told.value)
    clip = small_clip()
    torch.nn.init.constant_(clip.vision[1].weight, 3e38)
    module = ClipFinetuneModule(clip, InfoNCE(0.1), adamw, cosine, seed=0)
    with pytest.raises(UserError, match=r"before the first step.*trainer\.precision=32-true"):
        make_trainer(max_epochs=1).fit(module, data_for(clip, small_pairs(8)))


def test_broken_weights_never_replace_the_last_good_checkpoint(
    small_clip, small_pairs, make_trainer, cosine, tmp_path: Path
) -> None:
    class Break(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
            if trainer.global_step == 4:  # the last step of the second epoch
                with torch.no_grad():
                    module.clip.vision[0].weight[0, 0] = math.nan

    module = ClipFinetuneModule(small_clip(), InfoNCE(0.1), partial(torch.optim.SGD, lr=0.1), cosine, seed=0)
    keep = ModelCheckpoint(
        tmp_path, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    trainer = make_trainer(
        max_epochs=3, callbacks=[FiniteWeights(), Break(), keep], enable_checkpointing=True
    )
    with pytest.raises(UserError, match=r"clip\.vision\.0\.weight|vision\.0\.weight"):
        trainer.fit(module, data_for(module.clip, small_pairs(8)))
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 2
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_collapsed_embeddings_are_told_once(small_clip, small_pairs, make_trainer, cosine) -> None:
    clip = small_clip()
    with torch.no_grad():
        clip.vision[0].weight.zero_()
    module = ClipFinetuneModule(clip, InfoNCE(0.1), partial(torch.optim.SGD, lr=0.0), cosine, seed=0)
    with pytest.warns(UserWarning, match="image embeddings have collapsed at step 4") as told:  # of 16
        make_trainer(max_epochs=8).fit(module, data_for(clip, small_pairs(8)))
    assert sum("collapsed" in str(warning.message) for warning in told) == 1


def test_spread_is_the_mean_cosine_distance_of_different_rows() -> None:
    rows = torch.randn(6, 5)
    cosines = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    others = cosines[~torch.eye(6, dtype=torch.bool)]
    assert spread(rows).item() == pytest.approx(1 - others.mean().item(), abs=1e-6)
    assert spread(torch.ones(4, 3)).item() == pytest.approx(0, abs=1e-6)


def test_top1_counts_equal_texts_as_right() -> None:
    query, key = torch.eye(4), torch.eye(4)[[1, 0, 2, 3]]
    assert top1(query, key, torch.tensor([[1], [2], [3], [4]])) == 0.5
    assert top1(query, key, torch.tensor([[1], [1], [3], [4]])) == 1.0


class NormedClip(torch.nn.Module):
    """A vision tower with a batch norm, one of whose sides may be frozen."""

    def __init__(self, small: torch.nn.Module) -> None:
        super().__init__()
        self.small, self.norm = small, torch.nn.BatchNorm1d(48)
        self.logit_scale = small.logit_scale
        self.preprocess, self.tokenize, self.encode_text = small.preprocess, small.tokenize, small.encode_text

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return self.small.vision(self.norm(images.flatten(1)))


def test_chunks_and_devices_refuse_batch_norms_that_are_trained(
    small_clip, small_pairs, make_trainer, adamw, cosine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(chunk_size: int | None, *, frozen: bool) -> ClipFinetuneModule:
        clip = NormedClip(small_clip())
        clip.norm.requires_grad_(not frozen)
        module = ClipFinetuneModule(clip, InfoNCE(0.1), adamw, cosine, seed=0, chunk_size=chunk_size)
        make_trainer(max_epochs=1).fit(module, data_for(clip, small_pairs(8)))
        return module

    with pytest.raises(UserError, match=r"fit\.chunk_size=2 .* 1 batch norms .*first is norm"):
        train(2, frozen=False)
    assert train(None, frozen=False).clip.norm.running_mean.any()
    frozen, chunked = train(None, frozen=True), train(2, frozen=True)
    assert not frozen.clip.norm.running_mean.any(), "a frozen tower keeps its statistics"
    for name, value in frozen.state_dict().items():
        assert torch.allclose(value, chunked.state_dict()[name], atol=1e-6), name
    monkeypatch.setattr(pl.Trainer, "world_size", 2)
    with pytest.raises(UserError, match=r"shared by 2 devices.*trainer\.sync_batchnorm=true"):
        train(None, frozen=False)


class Counting(torch.nn.Module):
    """A tower that tells how many rows it has seen."""

    def __init__(self, tower: torch.nn.Module) -> None:
        super().__init__()
        self.tower, self.seen = tower, []

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(rows))
        return self.tower(rows)


def gradients_of(clip, chunk_size: int | None) -> tuple[float, dict[str, torch.Tensor]]:
    module = ClipFinetuneModule(clip, InfoNCE(0.07), torch.optim.SGD, partial, seed=0, chunk_size=chunk_size)
    module.log = module.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    module.train()
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(7, 3, 4, 4, generator=generator, dtype=torch.float64)
    loss = module.training_step(PairBatch(image, torch.randint(64, (7, 3), generator=generator)))
    loss.backward()
    return loss.item(), {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.filterwarnings("ignore:`isinstance")
@pytest.mark.parametrize("chunk_size", [1, 3, 7, 50])
def test_gradient_caching_equals_the_plain_step(small_clip, chunk_size: int) -> None:
    plain, chunked = small_clip().double(), small_clip().double()
    chunked.vision = Counting(chunked.vision)
    (loss, expected), (again, found) = gradients_of(plain, None), gradients_of(chunked, chunk_size)
    assert again == pytest.approx(loss, abs=1e-12)
    for name, gradient in expected.items():
        own = found[name.replace("vision.", "vision.tower.")]
        assert torch.allclose(own, gradient, atol=1e-12), name
    assert max(chunked.vision.seen) == min(chunk_size, 7), "never more rows at a time than a chunk"
    assert sum(chunked.vision.seen) == 14, "each row forwards, and again for its gradient"


def test_gradient_caching_drops_the_same_twice(small_clip) -> None:
    """The loss and the gradient must be of one and the same thinned network."""

    class Chunked(torch.nn.Module):
        """The same chunks, with all activations kept."""

        def __init__(self, tower: torch.nn.Module) -> None:
            super().__init__()
            self.tower = tower

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.tower(chunk) for chunk in rows.split(3)])

    kept, cached = small_clip(dropout=0.5).double(), small_clip(dropout=0.5).double()
    kept.vision = Chunked(kept.vision)
    torch.manual_seed(3)
    loss, expected = gradients_of(kept, None)
    torch.manual_seed(3)
    again, found = gradients_of(cached, 3)
    torch.manual_seed(4)
    assert gradients_of(small_clip(dropout=0.5).double(), 3)[0] != pytest.approx(loss, abs=1e-3)
    assert again == loss
    for name, gradient in expected.items():
        assert torch.allclose(found[name.replace("vision.tower.", "vision.")], gradient, atol=1e-12), name


def _step(rank: int, world_size: int, folder: str, make_clip, chunk_size: int | None = None) -> None:
    """One step in float64 on this process's share of the batch; process 0 leaves what came out."""
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1"}
        store = distributed.FileStore(f"{folder}/store", world_size)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    clip = make_clip().double()
    module = ClipFinetuneModule(
        clip, InfoNCELearned(0.07, 0.01).double(), torch.optim.SGD, partial, seed=0, chunk_size=chunk_size
    )

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, batch: PairBatch) -> torch.Tensor:
            return self.module.training_step(batch)

    generator = torch.Generator().manual_seed(5)
    image = torch.randn(6, 3, 4, 4, generator=generator, dtype=torch.float64).chunk(world_size)[rank]
    tokens = torch.randint(64, (6, 3), generator=generator).chunk(world_size)[rank]
    step = torch.nn.parallel.DistributedDataParallel(Step()) if world_size > 1 else Step()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    loss = step(PairBatch(image, tokens))
    loss.backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    optimizer.step()
    if rank == 0:
        torch.save([loss.detach(), gradients, module.state_dict()], f"{folder}/{world_size}.pt")
    if world_size > 1:
        del step, loss, optimizer, gradients
        distributed.barrier()
        distributed.destroy_process_group()
        os._exit(0)  # what is left of the group's threads has kept processes from ending


def _validate(rank: int, world_size: int, folder: str, make_clip, pairs) -> None:
    """Validation figures of one epoch on this process's share; process 0 leaves them."""
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1"}
        store = distributed.FileStore(f"{folder}/store", world_size)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    clip = make_clip()
    module = ClipFinetuneModule(clip, InfoNCE(0.07), torch.optim.SGD, partial, seed=0)
    data = data_for(clip, pairs, pairs, val_batch_size=5)
    module._trainer = data.trainer = SimpleNamespace(
        world_size=world_size, global_rank=rank, datamodule=data, barebones=False
    )
    seen: list[dict[str, float]] = []
    module.log_dict = lambda values, **_: seen.append({name: float(value) for name, value in values.items()})
    module.eval()
    for batch in data.val_dataloader():
        module.validation_step(batch)
    if rank == 0:
        torch.save(seen, f"{folder}/{world_size}.pt")
    if world_size > 1:
        distributed.barrier()
        distributed.destroy_process_group()
        os._exit(0)


@pytest.mark.slow
def test_validation_on_two_processes_equals_one(small_clip, small_pairs, tmp_path: Path) -> None:
    """Batches of 5 pairs, of which none can be shared equally, and a pair that is left out."""
    _validate(0, 1, str(tmp_path), small_clip, small_pairs(11))
    given = (2, str(tmp_path), small_clip, small_pairs(11))
    mp.start_processes(_validate, given, nprocs=2, start_method="spawn")
    one, two = (torch.load(tmp_path / f"{count}.pt") for count in (1, 2))
    assert len(one) == len(two) == 2
    for left, right in zip(one, two, strict=True):
        assert left == pytest.approx(right, abs=1e-6)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("chunk_size", [None, 2], ids=["whole", "in chunks"])
def test_two_processes_equal_one_with_the_whole_batch(
    small_clip, tmp_path: Path, chunk_size: int | None
) -> None:
    _step(0, 1, str(tmp_path), small_clip)
    mp.start_processes(_step, (2, str(tmp_path), small_clip, chunk_size), nprocs=2, start_method="spawn")
    one, two = (torch.load(tmp_path / f"{count}.pt") for count in (1, 2))
    assert one[0].item() == pytest.approx(two[0].item(), abs=1e-12)
    assert one[1].keys() == two[1].keys() == {*one[2]} - {"clip.logit_scale"}
    for left, right in ((one[1], two[1]), (one[2], two[2])):
        for name in left:
            assert torch.allclose(left[name], right[name], atol=1e-10), name
