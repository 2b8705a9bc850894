"""Relevance of the words of the texts of batches of images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.word_tokens import NO_WORD, TokenizedText, tokenize_words
from medsam_exp.runtime.finite import refuse_broken_rows
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.training.embeddings import embed_images
from medsam_exp.training.prediction import ImageBatch


@dataclass(frozen=True)
class TextRelevance:
    """What one text gives one image.

    Attributes:
        text: as given.
        words: in order, punctuation as words of its own.
        relevance: nats of each word, the sum over its tokens.
        tokens: of all words, as the vocabulary writes them.
        token_relevance: nats of each of `tokens`.
    """

    text: str
    words: list[str]
    relevance: list[float]
    tokens: list[str]
    token_relevance: list[float]


@dataclass(frozen=True)
class TextSaliency:
    """Turns images and texts into the relevance of each word.

    Args:
        clip: the adapter of a CLIP model.
        method: `(clip, ids, real, image_embedding, generators) -> relevance (B, L)`.
        texts: texts by sample id; each is looked at by itself.
        seed: with the sample's id and the text's number it decides the noise.
    """

    clip: ClipModel
    method: Callable[..., Tensor]
    texts: Mapping[str, tuple[str, ...]]
    seed: int

    def __call__(self, batch: ImageBatch) -> Iterator[tuple[str, list[TextRelevance]]]:
        """The relevance of each image's texts.

        Raises:
            UserError: an embedding or a relevance is not finite.
        """
        image_embedding = embed_images(self.clip, batch.images, batch.ids)
        found: dict[str, list[TextRelevance]] = {sample_id: [] for sample_id in batch.ids}
        for number in range(max(len(self.texts[sample_id]) for sample_id in batch.ids)):
            relevances = self._relevance(batch.padded_ids, image_embedding, number)
            for sample_id, one in zip(batch.ids, relevances, strict=False):
                if number < len(self.texts[sample_id]):
                    found[sample_id].append(one)
        yield from found.items()

    def _relevance(self, ids: tuple[str, ...], image_embedding: Tensor, number: int) -> list[TextRelevance]:
        """Relevance of each image's text of that number; the last one where it has fewer, so that B stays."""
        device = image_embedding.device
        texts = [self.texts[name][min(number, len(self.texts[name]) - 1)] for name in ids]
        tokenized = [tokenize_words(self.clip.tokenizer, text) for text in texts]
        tokens, real = (
            torch.stack(parts).to(device)
            for parts in ([one.ids for one in tokenized], [one.real for one in tokenized])
        )
        generators = [
            torch_generator(self.seed, name, "text_saliency", number, device=device) for name in ids
        ]
        relevance = self.method(self.clip, tokens, real, image_embedding, generators).detach().cpu()
        refuse_broken_rows(relevance, ids, "the relevance of the words", "CLIP")
        return [merge_words(*one) for one in zip(texts, tokenized, relevance, strict=True)]


def merge_words(text: str, tokenized: TokenizedText, relevance: Tensor) -> TextRelevance:
    """Put the pieces of words together: nats add up. Special tokens and padding are dropped.

    Args:
        text: as given.
        tokenized: the same text.
        relevance: (L,) nats.
    """
    by_word = [0.0] * len(tokenized.words)
    tokens, by_token = [], []
    for word, piece, nats in zip(tokenized.word_of, tokenized.pieces, relevance.tolist(), strict=True):
        if word != NO_WORD:
            by_word[word] += nats
            tokens.append(piece)
            by_token.append(nats)
    return TextRelevance(text, list(tokenized.words), by_word, tokens, by_token)
