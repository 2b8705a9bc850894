"""What a finished run over images has, as its figures, its files and its trackers read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from medsam_exp.engine.engine import Engine
from medsam_exp.stages.pipeline import STAGES, mask_stages
from medsam_exp.types import Dataset, Mask, RGBImage


@dataclass(frozen=True)
class RunResults:
    """What a finished run over images has.

    Attributes:
        cfg: its configuration.
        engine: its stages and their artifacts.
        dataset: its images.
        texts: texts by sample id.
        rows: those of per_image.csv.
        summary: content of summary.json.
    """

    cfg: DictConfig
    engine: Engine
    dataset: Dataset
    texts: Mapping[str, tuple[str, ...]]
    rows: list[dict[str, Any]]
    summary: Mapping[str, Any]

    @property
    def final_label(self) -> str:
        """Label of the last stage that makes masks; "" when there is none."""
        final = final_stage(self.engine)
        return mask_stages()[final] if final else ""

    def decided_by(self, sample_id: str) -> dict[str, Any]:
        """What decides everything that the run has of a sample, JSON-able: its text, and digests by stage."""
        plan, stages = self.engine.plan, self.engine.artifacts
        digests = {stage: plan.inputs[STAGES[stage].digests].get(sample_id) for stage in stages}
        return {"id": sample_id, "text": self.texts.get(sample_id), "inputs": digests}

    def decided_by_all(self) -> dict[str, str]:
        """The same of the run as a whole."""
        return {stage: stored.content_digest for stage, stored in self.engine.artifacts.items()}

    def image(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 of a sample's image; from memory where the run's stages have kept it."""
        read = self.engine.plan.read_image
        assert read is not None
        return read(sample_id)

    def ground_truth(self, sample_id: str) -> Mask | None:
        """The true mask, where the run reads any."""
        return self.dataset.read_ground_truth(sample_id) if "evaluate" in self.engine.artifacts else None

    def image_and_masks(self, sample_id: str) -> tuple[RGBImage, dict[str, Mask]]:
        """An image with its masks, original frame: "prediction", "coarse" where it is another, "ground truth"."""
        stages, final = self.engine.artifacts, final_stage(self.engine)
        masks = {} if final is None else {"prediction": stages[final].mask(sample_id)}
        if "coarse_mask" in stages and final != "coarse_mask":
            masks["coarse"] = stages["coarse_mask"].mask(sample_id)
        truth = self.ground_truth(sample_id)
        return self.image(sample_id), masks | ({} if truth is None else {"ground truth": truth})


def final_stage(engine: Engine) -> str | None:
    """The last stage of a run that makes masks."""
    done = [stage for stage in mask_stages() if stage in engine.artifacts]
    return done[-1] if done else None
