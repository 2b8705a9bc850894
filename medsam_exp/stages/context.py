"""What a stage is given: objects and folders, never a configuration."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.heap import keep_freed_memory
from medsam_exp.runtime.threads import Behind, map_in_threads
from medsam_exp.training.callbacks import (
    AccumulationMean,
    FiniteWeights,
    LearningRate,
    LogInterval,
    MidEpochCheckpoint,
    PrefixedLogger,
    RestoreSignals,
    Throughput,
)
from medsam_exp.training.checkpoint_files import CheckpointFiles, forget_the_one_before, whole_checkpoint
from medsam_exp.training.precision import encoders_in
from medsam_exp.training.prediction import ImageBatch, PredictModule, batch_loader, read_images
from medsam_exp.types import (
    ComponentFilter,
    ContrastiveLoss,
    Dataset,
    ImagePrompter,
    MapFusion,
    MapPrompter,
    MaskFusion,
    NetworkPresence,
    PairSource,
    PostProcessor,
    PresenceScorer,
    Prompter,
    RGBImage,
    Veto,
)

if TYPE_CHECKING:
    from medsam_exp.clip.model import ClipModel
    from medsam_exp.metrics.scores import SegmentationMeasures
    from medsam_exp.nnunet.ensemble import EnsembleSettings
    from medsam_exp.nnunet.settings import NnunetSettings
    from medsam_exp.saliency.method import SaliencyMethod
    from medsam_exp.sam.promptable import PromptableModel
    from medsam_exp.text_segmenter.segmenter import TextSegmenter

Computed = TypeVar("Computed")
CHECKPOINT_EVERY = timedelta(minutes=10)
"""A training that is killed within a long epoch loses no more than this."""


class Builder(Protocol):
    """Makes the object of a config group; the type of each group that stages build is stated here."""

    @overload
    def __call__(self, group: Literal["clip"], **overrides: Any) -> "ClipModel": ...

    @overload
    def __call__(self, group: Literal["sam"], **overrides: Any) -> "PromptableModel": ...

    @overload
    def __call__(self, group: Literal["text_segmenter"], **overrides: Any) -> "TextSegmenter": ...

    @overload
    def __call__(self, group: Literal["saliency"], **overrides: Any) -> "SaliencyMethod": ...

    @overload
    def __call__(self, group: Literal["presence"], **overrides: Any) -> PresenceScorer | NetworkPresence: ...

    @overload
    def __call__(self, group: Literal["postprocess"], **overrides: Any) -> PostProcessor: ...

    @overload
    def __call__(
        self, group: Literal["component_filter", "mask_filter"], **overrides: Any
    ) -> ComponentFilter: ...

    @overload
    def __call__(self, group: Literal["veto"], **overrides: Any) -> Veto: ...

    @overload
    def __call__(
        self, group: Literal["prompt"], **overrides: Any
    ) -> Prompter | MapPrompter | ImagePrompter: ...

    @overload
    def __call__(self, group: Literal["fusion"], **overrides: Any) -> MaskFusion | MapFusion: ...

    @overload
    def __call__(self, group: Literal["loss"], **overrides: Any) -> ContrastiveLoss: ...

    @overload
    def __call__(self, group: Literal["pairs"], **overrides: Any) -> Mapping[str, PairSource | None]: ...

    @overload
    def __call__(self, group: Literal["metrics"], **overrides: Any) -> "SegmentationMeasures": ...

    @overload
    def __call__(self, group: Literal["nnunet"], **overrides: Any) -> "NnunetSettings": ...

    @overload
    def __call__(self, group: Literal["ensemble"], **overrides: Any) -> "EnsembleSettings": ...

    @overload
    def __call__(
        self, group: Literal["calibration", "fit", "sam_embedding", "search", "uncertainty"], **overrides: Any
    ) -> dict[str, Any]: ...

    @overload
    def __call__(self, group: str, **overrides: Any) -> Any: ...

    def __call__(self, group: str, **overrides: Any) -> Any:
        """Build `group`, with arguments replaced by `overrides`."""
        ...


@dataclass(frozen=True)
class AuxiliaryImages:
    """Images other than the run's own, for a stage that works on them.

    Attributes:
        dataset: the images.
        artifacts: of the stages that the stage needs of them, by name, up to date.
    """

    dataset: Dataset
    artifacts: Mapping[str, StageArtifacts]


@dataclass(frozen=True)
class Result:
    """What a stage stores of a sample; see `StageArtifacts.save`."""

    sample_id: str
    info: Mapping[str, Any]
    array: NDArray[np.bool_] | NDArray[np.floating[Any]] | None = None
    maps: Mapping[str, NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class StageContext:
    """One stage of one run, on one process.

    Attributes:
        build: makes the object of a config group that the stage reads, with arguments replaced by keyword arguments;
            nothing is made before it is asked for.
        trainer: makes a Lightning Trainer; keyword arguments go to it.
        artifacts: where this stage writes.
        parents: artifacts of the stages it builds on, by stage name.
        dataset: the images; None for stages that do not work on samples.
        read_image: an image (H, W, 3) uint8 by a sample's id, as the dataset reads it; from memory where it is kept.
        texts: texts by sample id.
        pending: ids to compute, equal on every process.
        seed: the run's seed.
        batch_size: images per batch.
        workers: loading processes of a training.
        threads: that work beside the main one: read ahead of a network and write behind it, or work on samples.
        loggers: Lightning loggers for training.
        advance: tell the progress bar that this many samples are done.
        log: send figures to the run's logger while the stage works.
        auxiliary: images that the stage works on beside the run's own; for stages that declare them.
        trial: run the pipeline with changed values (by dotted key) and return the scores by sample id, what is scored
            and measure; for stages that declare it.
        precision: that encoders compute in.
    """

    build: Builder
    trainer: Callable[..., pl.Trainer]
    artifacts: StageArtifacts
    parents: Mapping[str, StageArtifacts]
    dataset: Dataset
    read_image: Callable[[str], RGBImage]
    texts: Mapping[str, tuple[str, ...]]
    pending: tuple[str, ...]
    seed: int
    batch_size: int
    workers: int
    threads: int
    loggers: list[Any]
    advance: Callable[[int], None]
    log: Callable[[Mapping[str, float]], None]
    auxiliary: AuxiliaryImages | None
    trial: Callable[[Mapping[str, Any], Sequence[str]], dict[str, dict[str, dict[str, float]]]]
    precision: str = "32-true"

    def save(
        self,
        sample_id: str,
        info: Mapping[str, Any],
        array: NDArray[np.bool_] | NDArray[np.floating[Any]] | None = None,
        maps: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        """Write a result, as `StageArtifacts.save` does, and tell the progress bar."""
        self.artifacts.save(sample_id, info, array, maps)
        self.advance(1)

    def keep(self, result: Result) -> None:
        """Write a result, as `save` does."""
        self.save(result.sample_id, result.info, result.array, result.maps)

    @property
    def share(self) -> Sequence[str]:
        """The pending samples of this process; what is shared goes by their place, so that all are alike long."""
        return [self.pending[place] for place in distributed.own_starts(len(self.pending))]

    def computed(self, compute: Callable[[str], Computed]) -> Iterator[Computed]:
        """What is computed of each sample of this process's share, in order.

        Args:
            compute: called by several threads at once.
        """
        with closing(map_in_threads(compute, self.share, self.threads)) as results:
            yield from results

    def compute(self, result: Callable[[str], Result]) -> None:
        """Store what is computed of each sample of this process's share, in order; `result` as for `computed`."""
        for each in self.computed(result):
            self.keep(each)

    def images(self, preprocess: Callable[[RGBImage], Tensor]) -> Callable[[Sequence[str]], ImageBatch]:
        """What reads images by id as a batch for `predict`; `preprocess` makes network input of an (H, W, 3) uint8."""
        return partial(read_images, self.read_image, preprocess, self.batch_size)

    def store(
        self,
        network: nn.Module,
        answers: Callable[[Any], Iterable[tuple[Any, ...]]],
        result: Callable[..., Result],
        read: Callable[[Sequence[Any]], Any],
        items: Sequence[Any] | None = None,
    ) -> None:
        """Answer this process's share of some items, and store what is made of the answers, in their order.

        Args:
            network: as for `predict`.
            answers: as for `predict`.
            result: of each answer's parts; called by several threads at once while the network goes on.
            read: as for `predict`.
            items: as for `predict`.
        """
        waiting = self.batch_size + self.threads
        with Behind(result, self.keep, threads=self.threads, waiting=waiting) as take:
            self.predict(network, answers, take, read, items)

    def predict(
        self,
        network: nn.Module,
        answers: Callable[[Any], Iterable[tuple[Any, ...]]],
        take: Callable[..., object],
        read: Callable[[Sequence[Any]], Any],
        items: Sequence[Any] | None = None,
    ) -> None:
        """Answer this process's share of some items under a Lightning Trainer.

        Args:
            network: moved to the Trainer's device.
            answers: batch to the answers of its items, tuples of an id and what `take` is to receive with it.
            take: receives each answer's parts.
            read: up to `batch_size` items to a batch; called by several threads at once.
            items: all of the job, equal on every process; `pending` by default.
        """
        items = self.pending if items is None else items
        module = PredictModule(network, answers, take)
        module.requires_grad_(False)
        module.allow_zero_length_dataloader_with_multiple_devices = True  # few batches leave some without
        # Saliency needs gradients of its own variables, which inference mode would forbid for good.
        trainer = self.trainer(
            inference_mode=False, logger=False, enable_checkpointing=False, callbacks=[RestoreSignals()]
        )
        pinned = trainer.strategy.root_device.type == "cuda"
        loader = batch_loader(items, read, batch_size=self.batch_size, threads=self.threads, pinned=pinned)
        keep_freed_memory()
        with closing(loader), encoders_in(module, self.precision):
            # A process without a share still joins the others.
            if len(loader) or distributed.world_size() > 1:
                trainer.predict(module, loader, return_predictions=False)
            module.to(torch.device("cpu"))

    def fit(self, module: pl.LightningModule, data: pl.LightningDataModule) -> dict[str, float]:
        """Train a module, going on where a training was interrupted: at its last epoch, or within it.

        Returns:
            The last logged figures.
        """
        fit = self.build("fit")
        return self.train(
            module,
            data,
            self.artifacts.folder / "checkpoints",
            max_epochs=fit["epochs"],
            gradient_clip_val=fit["gradient_clip"],
            accumulate_grad_batches=fit["accumulate"],
            check_val_every_n_epoch=fit["validate_every"],
        )

    def train(
        self,
        module: pl.LightningModule,
        data: pl.LightningDataModule,
        folder: Path,
        callbacks: Sequence[pl.Callback] = (),
        name: str = "",
        **options: Any,
    ) -> dict[str, float]:
        """Train under a Lightning Trainer with these options, going on where a training was interrupted.

        Args:
            module: what is trained.
            data: what it is trained on.
            folder: holds where an interrupted training stands.
            callbacks: further ones.
            name: of the training, where a run has several of a kind; stands before its figures' names in the logs.
            options: of the Trainer.

        Returns:
            The last logged figures.
        """
        keep = [
            ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False),
            MidEpochCheckpoint(folder, CHECKPOINT_EVERY),
        ]
        trainer = self.trainer(
            num_sanity_val_steps=0,
            logger=[PrefixedLogger(logger, name) if name else logger for logger in self.loggers] or False,
            callbacks=[
                FiniteWeights(),
                *callbacks,
                *keep,
                AccumulationMean(),
                LogInterval(),
                LearningRate(),
                Throughput(),
                RestoreSignals(),
            ],
            enable_progress_bar=sys.stdout.isatty(),
            plugins=[CheckpointFiles()],
            **options,
        )
        last = distributed.from_rank_zero(whole_checkpoint(folder) if distributed.rank() == 0 else None)
        trainer.fit(module, data, ckpt_path=last, weights_only=True)
        if distributed.rank() == 0:
            forget_the_one_before(folder)
        return {name: float(value) for name, value in trainer.callback_metrics.items()}
