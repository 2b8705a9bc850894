"""Truncation: which texts exceed the context length of a CLIP model, and where they are cut."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medsam_exp.clip.model import Tokenizer

_WORDS_SHOWN = 3


@dataclass(frozen=True)
class CutText:
    """A text that exceeds a model's context length.

    Attributes:
        text: all of it.
        tokens: how many it has, with those that begin and end every text.
        context: how many the model reads.
        last_words: the last words that it reads whole.
    """

    text: str
    tokens: int
    context: int
    last_words: str


def cut_texts(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[CutText]:
    """Those of some texts that are longer than the model's context, in their order.

    Args:
        tokenizer: of open_clip or transformers; of another kind nothing is known, so that none is found.
        texts: as they are given to the model.
    """
    context = int(tokenizer(["a"]).shape[-1])
    counts = ((text, count_tokens(tokenizer, text)) for text in texts)
    return [
        CutText(text, tokens, context, _last_words(tokenizer, text, context))
        for text, tokens in counts
        if tokens > context
    ]


def count_tokens(tokenizer: "Tokenizer", text: str) -> int:
    """Number of tokens of a text before truncation, special tokens included; 0 for unknown kinds of tokenizer."""
    from open_clip import SimpleTokenizer  # slow to import

    if isinstance(tokenizer, SimpleTokenizer):
        return len(tokenizer.encode(text)) + 2
    inner: Any = getattr(tokenizer, "tokenizer", None)
    if inner is None:
        return 0
    clean: Any = getattr(tokenizer, "clean_fn", str)
    if getattr(tokenizer, "tokenizer_mode", "") == "clips":  # open_clip adds three by itself
        return len(inner(clean(text), add_special_tokens=False)["input_ids"]) + 3
    return len(inner(clean(text), verbose=False)["input_ids"])


def _last_words(tokenizer: "Tokenizer", text: str, context: int) -> str:
    words = text.split()
    counts = range(1, len(words))
    fitting = bisect_right(
        counts, context, key=lambda count: count_tokens(tokenizer, " ".join(words[:count]))
    )
    return " ".join(words[max(0, fitting - _WORDS_SHOWN) : fitting])
