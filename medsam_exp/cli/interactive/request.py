"""A question to the pipeline: an image, a text and choices; and the command that asks the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medsam_exp.cli.compose import composed
from medsam_exp.cli.interactive.groups import GROUPS
from medsam_exp.config.overrides import hydra_value
from medsam_exp.config.schema import check
from medsam_exp.config.shells import for_shell
from medsam_exp.types import UserError

_WITH_RIVAL = "stages=[saliency,presence,coarse_mask,sam_embedding,sam_mask,text_mask]"
"""Those of +experiment=one_image, and the rival's."""


@dataclass(frozen=True)
class Question:
    """What is asked of one image.

    Attributes:
        image: the file.
        text: what to find, in words.
        choices: of config groups; those that are not named are the defaults.
        settings: further overrides, as `run.py` takes them.
        prompts: visual prompts in the place of those from the coarse mask.
    """

    image: Path
    text: str
    choices: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    prompts: Sequence[Mapping[str, Any]] | None = None

    def overrides(self, path: str | None = None) -> list[str]:
        """What to give `run.py`; with another path of the image, where it lies elsewhere for the reader."""
        typed = dict(
            setting.split("=", 1) for setting in self.settings if setting.partition("=")[0] in GROUPS
        )
        chosen = {**typed, **self.choices}
        others = [setting for setting in self.settings if setting.partition("=")[0] not in GROUPS]
        if self.prompts is not None:
            chosen["prompt"] = "given"
            others = [setting for setting in others if not setting.startswith("prompt.")]
            others.append(f"prompt.prompts={hydra_value(list(self.prompts))}")
        if "text_segmenter" in chosen:
            others.append(_WITH_RIVAL)
        place, text = hydra_value(path or str(self.image)), hydra_value(self.text)
        choices = [f"{group}={chosen[group]}" for group in GROUPS if group in chosen]
        return ["+experiment=one_image", f"data.path={place}", f"text.text={text}", *choices, *others]

    def at_threshold(self, value: float) -> "Question":
        """The same question with the saliency map cut at a value, and without visual prompts."""
        kept = (setting for setting in self.settings if not setting.startswith("postprocess"))
        return replace(
            self,
            choices={**self.choices, "postprocess": "threshold"},
            settings=(*kept, f"postprocess.value={value:g}"),
            prompts=None,
        )

    def command(self, path: str | None = None) -> str:
        """The command that gives the same mask, in any folder from which the path leads to the image."""
        return " ".join(["medsam-exp run", *map(for_shell, self.overrides(path))])

    def configuration(self, outputs: Path) -> DictConfig:
        """The checked configuration of the run that answers.

        Args:
            outputs: where its results lie.

        Raises:
            UserError: a choice does not exist, or the configuration cannot work.
        """
        if not self.text.strip():
            raise UserError(
                "the text is empty: write what to find, such as 'a dark mass with ragged borders'"
            )
        places = [f"paths.outputs={hydra_value(str(outputs))}", "paths.artifacts=${paths.outputs}/artifacts"]
        return check(composed([*self.overrides(), *places]))
