"""Networks of transformers from a local folder, as it lies on the Hugging Face hub; nothing is downloaded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.finite import refuse_broken_weights
from medsam_exp.runtime.wording import first_few, first_line


def load_whole(
    kind: Any,
    path: Path,
    named: str,
    *,
    config: object = None,
    state: Mapping[str, Tensor] | None = None,
    unused: str | None = None,
) -> Any:
    """Load a network in float32 and evaluation mode, every weight of it.

    Args:
        kind: its class, or transformers' `AutoModel`.
        path: the folder, or the file that `state` was read from.
        named: key and value of the configuration, for messages.
        config: of the network; None where the folder says it.
        state: weights by transformers' names; None where they are in the folder.
        unused: end of the name of weights that a folder may lack, as only trainings use them.

    Raises:
        UserError: the weights do not fit, are not there whole, or are not finite.
    """
    given = {} if config is None else {"config": config, "state_dict": state}
    with refused_as_unfit(f"{named} does not load as {kind.__name__}"):
        network, info = kind.from_pretrained(
            None if given else path,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            **given,
        )
    absent = sorted(str(each) for each in {*info["missing_keys"], *info["mismatched_keys"]})
    if absent := [name for name in absent if unused is None or not name.endswith(unused)]:
        raise UserError(
            f"{named} does not fit {type(network).__name__}: {len(absent)} weights are missing or of another shape "
            f"({first_few(absent, 3)}); take the hub's folder whole, of the network that is asked for."
        )
    refuse_broken_weights(network.state_dict(), named, path)
    return network.eval()


@contextmanager
def refused_as_unfit(sentence: str) -> Iterator[None]:
    """Refuse a damaged folder, which fails in many ways; what transformers would warn of is refused by the caller.

    Args:
        sentence: what went wrong, with key and value of the configuration.

    Raises:
        UserError: anything was raised within.
    """
    from transformers.utils import logging

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
