"""Which tokens make up which word of a text, for the tokenizers of open_clip and of transformers."""

from dataclasses import dataclass
from typing import Any

import torch
from open_clip import SimpleTokenizer
from torch import Tensor

from medsam_exp.clip.model import Tokenizer
from medsam_exp.types import UserError

NO_WORD = -1


@dataclass(frozen=True)
class TokenizedText:
    """One text as the network reads it.

    Attributes:
        ids: (L,) int64 token ids, with special and padding tokens.
        real: (L,) bool, False for padding.
        words: in order, punctuation as words of its own; those beyond the model's context length are missing.
        word_of: (L,) number of the word to which each token belongs, `NO_WORD` for special and padding tokens.
        pieces: L tokens as the vocabulary writes them.
    """

    ids: Tensor
    real: Tensor
    words: tuple[str, ...]
    word_of: tuple[int, ...]
    pieces: tuple[str, ...]


def tokenize_words(tokenizer: Tokenizer, text: str) -> TokenizedText:
    """Split a text as a model's tokenizer does, and remember the words.

    Raises:
        UserError: the tokenizer is of a kind that does not say which word a token comes from.
    """
    ids = tokenizer([text])[0]
    if isinstance(tokenizer, SimpleTokenizer):
        return _of_open_clip(tokenizer, ids)
    inner: Any = getattr(tokenizer, "tokenizer", None)
    if getattr(inner, "is_fast", False):
        return _of_transformers(tokenizer, inner, text, ids)
    raise UserError(
        f"clip.model has a tokenizer of kind {type(tokenizer).__name__}, which does not say which words tokens are of."
    )


def _of_open_clip(tokenizer: SimpleTokenizer, ids: Tensor) -> TokenizedText:
    """Byte pairs that end a word are marked `</w>`; a special token begins and one ends the text."""
    last = int((ids == tokenizer.eot_token_id).int().argmax())
    pieces = [tokenizer.decoder[int(token)] if place <= last else "" for place, token in enumerate(ids)]
    word_of = [NO_WORD] * len(ids)
    words: list[str] = []
    open_word: list[int] = []
    for place in range(1, last):
        word_of[place] = len(words)
        open_word.append(int(ids[place]))
        if pieces[place].endswith("</w>") or place == last - 1:
            words.append(tokenizer.decode(open_word).strip())
            open_word = []
    return TokenizedText(ids, torch.arange(len(ids)) <= last, tuple(words), tuple(word_of), tuple(pieces))


def _of_transformers(tokenizer: Any, inner: Any, text: str, ids: Tensor) -> TokenizedText:
    cleaned = tokenizer.clean_fn(text)
    encoded = inner(
        cleaned,
        max_length=len(ids),
        padding="max_length",
        truncation=True,
        return_attention_mask=True,
    )
    if encoded["input_ids"] != ids.tolist():
        raise UserError("clip.model's tokenizer rearranges tokens, so they cannot be assigned to words.")
    numbers = [number for number in dict.fromkeys(encoded.word_ids()) if number is not None]
    words = tuple(cleaned[slice(*encoded.word_to_chars(number))].strip() for number in numbers)
    place = {number: order for order, number in enumerate(numbers)}
    word_of = tuple(NO_WORD if number is None else place[number] for number in encoded.word_ids())
    pieces = tuple(inner.convert_ids_to_tokens(ids.tolist()))
    return TokenizedText(ids, torch.tensor(encoded["attention_mask"]).bool(), words, word_of, pieces)
