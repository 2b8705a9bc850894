"""Answers questions about single images, and keeps what the next question may need."""

import logging
import shutil
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from medsam_exp.cli.compose import with_names
from medsam_exp.cli.interactive.correction import Correction, corrected_prompts
from medsam_exp.cli.interactive.networks import NetworkCache
from medsam_exp.cli.interactive.request import Question
from medsam_exp.cli.interactive.result import Answer, Draft, RivalMask
from medsam_exp.config.build import build
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.leakage import learnt_earlier
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.provenance import caution
from medsam_exp.masks.postprocess.threshold import Threshold
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.runtime.temporary_files import temporary_folder
from medsam_exp.saliency.patch_text import PatchText
from medsam_exp.sam.prompt.given import GivenPrompts
from medsam_exp.sam.prompt.on_image import prompter_of
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.records import TextMaskRecord, prompts_of
from medsam_exp.training.prediction import read_images
from medsam_exp.training.saliency import ImageSaliency
from medsam_exp.training.sam_inference import answer_prompts
from medsam_exp.types import Dataset, MapFusion, Mask, Prompts

_DRAFT = "patch_text"


@dataclass(frozen=True)
class _Work:
    """A question that is planned, and the seconds that took."""

    question: Question
    dataset: Dataset
    engine: Engine
    preparation: float


class Session(AbstractContextManager["Session"]):
    """Segments one image at a time by the very stages of `run.py`, so its masks are those of a run.

    Networks stay in memory. Saliency maps, presence scores, coarse masks and SAM's embeddings stay, for the
    last images, in a folder of the session's own that only its user can read and that goes when it closes. May be
    called from several threads; one question is answered at a time.

    Args:
        settings: overrides for every question, such as "trainer=gpu".
        images: how many images' results are kept.
    """

    def __init__(self, settings: Sequence[str] = (), images: int = 24) -> None:
        warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")  # advice for its own users
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        self._settings, self._images = tuple(with_names(settings)), images
        self._kept = temporary_folder("medsam_exp_")
        self._folder = Path(self._kept.name)
        self._known: OrderedDict[str, Path] = OrderedDict()
        self._digests, self._networks = FileDigests(None), NetworkCache()
        self._lock = threading.RLock()

    def segment(
        self, image: Path, text: str, choices: Mapping[str, str] | None = None, settings: Sequence[str] = ()
    ) -> Answer:
        """Find what a text says in an image.

        Args:
            image: the file.
            text: what to find, in words.
            choices: of config groups, {"clip": "biomedclip"}; those that are not named are the defaults.
            settings: further overrides, ["postprocess.value=0.4"].

        Raises:
            UserError: the image cannot be read, the text is empty, weights are missing, or a choice cannot work.
        """
        work = self._plan(Question(image, text, choices or {}, (*self._settings, *settings)))
        return self._answer(work)

    def segment_with_draft(
        self, image: Path, text: str, choices: Mapping[str, str] | None = None, settings: Sequence[str] = ()
    ) -> Iterator[Draft | Answer]:
        """As `segment`, with a draft of the saliency map before the answer where that is still to be computed.

        There is no draft of methods that are as fast, or do not read the text, or where the network has no patches in
        the space of its texts.
        """
        work = self._plan(Question(image, text, choices or {}, (*self._settings, *settings)))
        if (draft := self._draft(work)) is not None:
            yield draft
        yield self._answer(work)

    def correct(self, answer: Answer, correction: Correction) -> Answer:
        """Ask SAM again with what a human clicked and drew; the stored embedding spares the networks.

        Raises:
            UserError: the prompts cannot work, or the SAM does not understand points.
        """
        started = time.perf_counter()
        with self._lock:
            given = corrected_prompts(answer.automatic, correction)
            prompts = GivenPrompts(given)(answer.coarse_mask, np.random.default_rng(0))
            mask, iou_predictions = self._ask_sam(answer, prompts)
        return replace(
            answer,
            question=replace(answer.question, prompts=given),
            prompts=prompts,
            mask=mask,
            iou_predictions=iou_predictions,
            seconds={"correction": time.perf_counter() - started},
            reused=("saliency", "presence", "coarse_mask", "sam_embedding"),
        )

    def threshold(self, answer: Answer, value: float) -> Answer:
        """Cut the saliency map at another value and ask SAM again, as postprocess=threshold does.

        Raises:
            UserError: the value is not in [0, 1].
        """
        started = time.perf_counter()
        value = round(value, 3)
        with self._lock:
            cfg, generator = answer.cfg, numpy_generator(answer.cfg.seed, answer.image_id, "prompt")
            saliency_map = answer.saliency_map
            binary = Threshold(value)(saliency_map, answer.image)
            coarse_mask = self._networks(cfg.component_filter)(binary, saliency_map) & (not answer.vetoed)
            prompter = prompter_of(self._networks(cfg.prompt), lambda: saliency_map, lambda: answer.image)
            prompts = prompter(coarse_mask, generator)
            mask, iou_predictions = self._ask_sam(answer, prompts)
        return replace(
            answer,
            question=answer.question.at_threshold(value),
            coarse_mask=coarse_mask,
            automatic=prompts,
            prompts=prompts,
            mask=mask,
            iou_predictions=iou_predictions,
            seconds={"threshold": time.perf_counter() - started},
            reused=("saliency", "presence", "sam_embedding"),
        )

    def _ask_sam(self, answer: Answer, prompts: Prompts) -> tuple[Mask, list[float]]:
        """SAM's mask of prompts, from the stored embedding, and what it expects of each; empty without any."""
        if not len(prompts):
            return np.zeros_like(answer.coarse_mask), []
        sam, fusion, mask_filter = (
            self._networks(answer.cfg[name]) for name in ("sam", "fusion", "mask_filter")
        )
        if isinstance(fusion, MapFusion):
            fusion = fusion.on_map(answer.saliency_map)
        found = answer_prompts(
            sam,
            fusion,
            torch.from_numpy(answer.embedding),
            prompts,
            answer.coarse_mask.shape,
            answer.image_id,
        )
        return mask_filter(found.mask, answer.saliency_map), found.iou_predictions

    def close(self) -> None:
        """Delete everything that was kept on disk."""
        self._kept.cleanup()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _plan(self, question: Question) -> _Work:
        with self._lock:
            started = time.perf_counter()
            folder = self._folder_of(question.image)
            cfg = question.configuration(folder)
            dataset: Dataset = build(cfg.data)
            texts = build(cfg.text).bind(dataset.samples)
            plan = Plan(cfg, list(cfg.stages), dataset, texts, self._digests, make=self._networks)
            return _Work(question, dataset, Engine(plan, quiet=True), time.perf_counter() - started)

    def _draft(self, work: _Work) -> Draft | None:
        plan = work.engine.plan
        with self._lock:
            method, awaited = PatchText(), self._networks(plan.cfg.saliency)
            if not awaited.uses_text or isinstance(awaited, PatchText):
                return None
            if not plan.artifacts["saliency"].pending(plan.sample_ids):
                return None
            clip = plan.objects.to_work_with("clip")
            if clip.layout.refusal(method.needs, _DRAFT):
                return None
            dataset, saliency = work.dataset, ImageSaliency(clip, method, {_DRAFT: plan.texts}, plan.cfg.seed)
            batch = read_images(dataset.read_image, saliency.geometry.preprocess, 1, plan.sample_ids)
            ((name, found),) = saliency(batch)
            return Draft(
                text=work.question.text,
                image=dataset.read_image(name),
                saliency_map=found[_DRAFT].saliency_map,
                method=_DRAFT,
            )

    def _answer(self, work: _Work) -> Answer:
        question, engine = work.question, work.engine
        cfg, dataset = engine.plan.cfg, work.dataset
        with self._lock:
            engine.run_all()
            name, made, timing = engine.sample_ids[0], engine.artifacts, engine.timing
            record, presence = made["sam_mask"].info(name), made["presence"].info(name)
            prompts = prompts_of(record["prompts"])
            return Answer(
                question=question,
                image_id=name,
                image=dataset.read_image(name),
                saliency_map=read_map(made["saliency"], name),
                coarse_mask=made["coarse_mask"].mask(name),
                automatic=prompts,
                prompts=prompts,
                mask=made["sam_mask"].mask(name),
                iou_predictions=record["iou_predictions"],
                presence=presence["score"],
                calibrated_on=build(cfg.presence).calibrated_on,
                vetoed=made["coarse_mask"].info(name)["vetoed"],
                seconds={"preparation": work.preparation}
                | {stage: taken.seconds for stage, taken in timing.items()},
                reused=tuple(stage for stage, taken in timing.items() if not taken.images),
                caution=caution(engine.plan, list(learnt_earlier(cfg, engine.plan))),
                cfg=cfg,
                embedding=made["sam_embedding"].features(dataset.samples[0].image),
                rival=_rival(made["text_mask"], name) if "text_mask" in made else None,
            )

    def _folder_of(self, image: Path) -> Path:
        """Where an image's results are kept; those of images that nobody asked about for long go."""
        key = self._digests.of(image)[:16] if image.is_file() else "none"
        folder = self._known.setdefault(key, self._folder / key)
        self._known.move_to_end(key)
        while len(self._known) > self._images:
            shutil.rmtree(self._known.popitem(last=False)[1], ignore_errors=True)
        return folder


def _rival(made: StageArtifacts, name: str) -> RivalMask:
    return RivalMask(made.mask(name), made.record(name, TextMaskRecord)["presence"])
