"""Text-prompted segmenters, and what prepares images for them, from a local folder as on the Hugging Face hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from medsam_exp.runtime.checkpoint.transformers_folder import load_whole, refused_as_unfit
from medsam_exp.text_segmenter.weight_files import GROUP, weight_files

_Network = TypeVar("_Network", bound=PreTrainedModel)


def load_network(
    kind: type[_Network],
    model: str,
    config: PretrainedConfig | None = None,
    state: Mapping[str, Tensor] | None = None,
    key: str = GROUP,
) -> _Network:
    """Load a network in float32 and evaluation mode.

    Args:
        kind: its class.
        model: a folder with config.json and weights; or the file that `state` was read from.
        config: of the network; None where the folder says it.
        state: weights by transformers' names; None where they are in the folder.
        key: configuration group that names the model, for messages.

    Raises:
        UserError: another network is described, or the weights do not fit or are not finite.
    """
    weight_files(model, key=key)  # says what is missing
    path = Path(model).expanduser()
    network: _Network = load_whole(kind, path, f"{key}.model={path}", config=config, state=state)
    return network


def load_processor(kind: Any, model: str) -> Any:
    """Load what prepares images or texts for a network: its image processor or its tokenizer.

    Raises:
        UserError: its files are not in the folder.
    """
    path = Path(model).expanduser()
    with refused_as_unfit(f"{GROUP}.model={path} lacks the files of {kind.__name__}"):
        return kind.from_pretrained(path, local_files_only=True, trust_remote_code=False)
