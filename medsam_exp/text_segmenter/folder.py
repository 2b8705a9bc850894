"""Networks of transformers from a local folder, as it lies on the Hugging Face hub; nothing is downloaded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from medsam_exp.runtime.finite import refuse_broken_weights
from medsam_exp.runtime.wording import first_few, first_line
from medsam_exp.text_segmenter.weight_files import GROUP, weight_files
from medsam_exp.types import UserError

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
    path = Path(model).expanduser()
    named = f"{key}.model={path}"
    given = {} if config is None else {"config": config, "state_dict": state}
    weight_files(model, key=key)  # says what is missing
    network: _Network
    with _refused_as_unfit(f"{named} does not load as {kind.__name__}"):
        network, info = kind.from_pretrained(
            None if given else path,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            **given,
        )
    if absent := sorted(str(each) for each in {*info["missing_keys"], *info["mismatched_keys"]}):
        raise UserError(
            f"{named} does not fit {kind.__name__}: {len(absent)} weights are missing or of another shape "
            f"({first_few(absent, 3)}); are they of another network?"
        )
    refuse_broken_weights(network.state_dict(), named, path)
    network.eval()
    return network


def load_processor(kind: Any, model: str) -> Any:
    """Load what prepares images or texts for a network: its image processor or its tokenizer.

    Raises:
        UserError: its files are not in the folder.
    """
    path = Path(model).expanduser()
    with _refused_as_unfit(f"{GROUP}.model={path} lacks the files of {kind.__name__}"):
        return kind.from_pretrained(path, local_files_only=True)


@contextmanager
def _refused_as_unfit(sentence: str) -> Iterator[None]:
    """A damaged folder fails in many ways; what transformers would warn of besides is refused by the caller."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:
        raise UserError(f"{sentence} ({first_line(error)}); take the hub's folder whole.") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
