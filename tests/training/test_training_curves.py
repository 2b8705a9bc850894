"""What every training records: how often, the learning rate, and images per second by a clock of the test's own."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers.logger import Logger

from medsam_exp.clip.loss.infonce import InfoNCE
from medsam_exp.training.callbacks import LearningRate, LogInterval, Throughput
from medsam_exp.training.clip_data import PairsDataModule
from medsam_exp.training.clip_finetune import ClipFinetuneModule

pytestmark = pytest.mark.filterwarnings("ignore:The number of training batches")
RATE = "train/images_per_second"


class Recorder(Logger):
    """Keeps what it is told, as (step, figures)."""

    name, version = "recorder", "0"

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.told.append((step, dict(metrics)))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def curve(self, name: str) -> list[tuple[int, float]]:
        return [(step, float(figures[name])) for step, figures in self.told if name in figures]


class Clock:
    """Time that passes only when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Timed(ClipFinetuneModule):
    """A training step takes 0.5 s, with the epoch's number on top; validation takes a minute and a half."""

    clock: Clock

    def training_step(self, batch: Any, index: int = 0) -> torch.Tensor:
        self.clock.now += 0.5 + self.current_epoch
        return super().training_step(batch, index)

    def validation_step(self, batch: Any, index: int = 0) -> None:
        self.clock.now += 90
        super().validation_step(batch, index)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.clock.now += 30


@pytest.fixture
def train(small_clip, small_pairs, make_trainer, adamw, cosine):
    """Train on 12 pairs in batches of 4, three batches an epoch; return what was recorded and the weights."""

    def trained(callbacks, **options):
        recorder, clip, pairs = Recorder(), small_clip(), small_pairs(12)
        module = Timed(clip, InfoNCE(0.1), adamw, cosine, seed=0)
        module.clock = Clock()
        if callbacks is None:
            callbacks = [LogInterval(), LearningRate(), Throughput(module.clock)]
        data = PairsDataModule(pairs, pairs, clip.preprocess, clip.tokenize, batch_size=4, seed=0)
        make_trainer(logger=recorder, callbacks=callbacks, **options).fit(module, data)
        return recorder, clip.state_dict()

    return trained


def test_without_the_interval_a_short_training_records_nothing(train) -> None:
    recorder, _ = train([LearningRate()], max_epochs=2)
    assert recorder.curve("train/loss") == []


@pytest.mark.parametrize(
    ("epochs", "options", "expected"),
    [
        (2, {}, 1),  # 6 steps
        (20, {}, 3),  # 60 steps
        (20, {"log_every_n_steps": 2}, 2),
        (40, {"accumulate_grad_batches": 3}, 2),  # 40 steps
    ],
)
def test_twenty_points_or_one_per_step_but_never_fewer_than_asked_for(
    train, epochs: int, options: dict[str, int], expected: int
) -> None:
    recorder, _ = train(None, max_epochs=epochs, check_val_every_n_epoch=epochs, **options)
    steps = epochs * 3 // options.get("accumulate_grad_batches", 1)
    for name in ("train/loss", "train/learning_rate", RATE):
        assert [step + 1 for step, _ in recorder.curve(name)] == list(range(expected, steps + 1, expected))


def test_recording_can_be_switched_off(train) -> None:
    recorder, _ = train(None, max_epochs=2, check_val_every_n_epoch=2, log_every_n_steps=0)
    assert not any(name.startswith("train/") for _, figures in recorder.told for name in figures)


def test_a_long_training_keeps_the_usual_interval(make_trainer) -> None:
    trainer = make_trainer(max_epochs=10)
    trainer.datamodule = SimpleNamespace(batches_per_epoch=500)
    LogInterval().on_train_start(trainer, None)
    assert trainer.log_every_n_steps == 50


def test_learning_rate_is_the_one_each_step_is_made_with(train) -> None:
    """0.02 after a warm-up that lasts half a step; the whole cosine in 6 steps."""
    recorder, _ = train(None, max_epochs=2)
    expected = 0.01 * (1 + torch.cos(torch.pi * torch.arange(5) / 5))
    found = [rate for _, rate in recorder.curve("train/learning_rate")]
    assert found[0] == pytest.approx(0.01)
    assert found[1:] == pytest.approx(expected.tolist(), abs=1e-8)


def test_images_per_second_of_each_interval_without_validation_and_checkpoints(train) -> None:
    """Epoch 0: 4 images in 0.5 s a step; epoch 1: in 1.5 s."""
    recorder, _ = train(None, max_epochs=2, enable_checkpointing=True)
    assert recorder.curve(RATE) == [(step, 4 / 0.5 if step < 3 else 4 / 1.5) for step in range(6)]


def test_an_interval_over_two_epochs_leaves_out_what_lies_between(train) -> None:
    recorder, _ = train(None, max_epochs=14, log_every_n_steps=2, enable_checkpointing=True)
    seconds = [0.5 + 0.5, 0.5 + 1.5, 1.5 + 1.5]
    assert recorder.curve(RATE)[:3] == [(2 * n + 1, 8 / taken) for n, taken in enumerate(seconds)]


def test_all_batches_of_an_accumulated_step_count(train) -> None:
    recorder, _ = train(None, max_epochs=2, accumulate_grad_batches=3)
    assert recorder.curve(RATE) == [(0, 12 / 1.5), (1, 12 / 4.5)]


def test_images_of_all_devices_count() -> None:
    clock, recorder = Clock(), Recorder()
    trainer = SimpleNamespace(world_size=4, global_step=0, log_every_n_steps=1, loggers=[recorder])
    throughput = Throughput(clock)
    throughput.on_train_start(trainer, None)
    throughput.on_train_epoch_start(trainer, None)
    clock.now += 2
    trainer.global_step = 1
    throughput.on_train_batch_end(trainer, None, None, SimpleNamespace(image=torch.zeros(3, 1)), 0)
    assert recorder.told == [(0, {RATE: 4 * 3 / 2})]


def test_the_rate_stays_out_of_the_stage_s_record(train, make_trainer) -> None:
    """Equal trainings leave equal records, so no clock may get into them."""
    seen = {}

    class Keep(Throughput):
        def on_train_end(self, trainer: Any, _: Any) -> None:
            seen.update(trainer.callback_metrics)

    train([LogInterval(), LearningRate(), Keep()], max_epochs=1)
    assert "train/learning_rate" in seen
    assert RATE not in seen


def test_recording_changes_no_weight(train) -> None:
    _, plain = train([], max_epochs=3)
    _, recorded = train(None, max_epochs=3)
    for name, value in plain.items():
        assert torch.equal(value, recorded[name]), name
