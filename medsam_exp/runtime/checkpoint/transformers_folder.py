"""Networks of transformers from a local folder, as it lies on the Hugging Face hub; nothing is downloaded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.finite import refuse_broken_weights
from medsam_exp.runtime.foreign import read_table_of_json
from medsam_exp.runtime.wording import first_few, first_line

_LAYERS, _MOST_LAYERS, _MOST = ("layers", "depth", "blocks", "stages"), 1000, 10_000_000
_TOKEN = "token_id"


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
    if not given:
        _refuse_senseless(path / "config.json")
    with refused_as_unfit(f"{named} does not load as {kind.__name__}"):
        network, info = kind.from_pretrained(
            None if given else path,
            local_files_only=True,
            trust_remote_code=False,
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


def _refuse_senseless(path: Path) -> None:
    """Refuse a description of no network that there is: it would take all memory, not end, or fail over an image.

    Raises:
        UserError: it is none, or a value is too large or of another kind.
    """
    mend = "take the hub's folder whole"
    for name, value in _settings(read_table_of_json(path, mend)):
        most = _MOST_LAYERS if any(word in name for word in _LAYERS) else _MOST
        if isinstance(value, int | float) and value > most:
            raise UserError(
                f"{path} says {name}={value!r:.20}, more than {most:,}, which no network has; {mend}."
            )
        if name.endswith(_TOKEN) and (isinstance(value, bool) or not isinstance(value, int)):
            raise UserError(f"{path} says {name}={value!r:.60}, but it must be a whole number; {mend}.")


def _settings(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each value by the key that it stands under, at any depth; lists of tokens as one."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _settings(value, key)
    elif isinstance(content, list) and not name.endswith(_TOKEN):
        for value in content:
            yield from _settings(value, name)
    elif content is not None:
        yield name, content


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
