"""Text towers that can be run in two parts: up to a layer once, and from there on many times.

Shapes: K texts, L tokens (special and padding tokens among them), C channels, D embedding.
"""

from typing import Any, Protocol

import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import TextTransformer, text_global_pool
from torch import Tensor, nn
from transformers import BertModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from medsam_exp.types import UserError


class TextTower(Protocol):
    """A text network seen as: tokens, a stack of blocks, a head.

    Attributes:
        depth: number of blocks.
    """

    depth: int

    def prefix(self, ids: Tensor, layer: int) -> Tensor:
        """Tokens (K, L, C) after the 0-based block `layer` of token ids (K, L); -1 is before the first block."""

    def suffix(self, tokens: Tensor, ids: Tensor, layer: int) -> Tensor:
        """Un-normalised embeddings (K, D) of tokens (K, L, C) taken after block `layer` of the same ids (K, L)."""


class _OpenClipText:
    """open_clip's text transformer, causal or not, as in OpenAI's and LAION's models; a CLIP holds its parts itself."""

    def __init__(self, owner: TextTransformer | CLIP) -> None:
        self._owner: Any = owner
        self._blocks = list(self._owner.transformer.resblocks)
        self.depth = len(self._blocks)

    def prefix(self, ids: Tensor, layer: int) -> Tensor:
        tokens, mask = self._embedded(ids)
        return self._through(self._blocks[: layer + 1], tokens, mask)

    def suffix(self, tokens: Tensor, ids: Tensor, layer: int) -> Tensor:
        _, mask = self._embedded(ids)
        owner = self._owner
        tokens = owner.ln_final(self._through(self._blocks[layer + 1 :], tokens, mask))
        kind, eos = (
            (owner.text_pool_type, owner.text_eos_id)
            if isinstance(owner, CLIP)
            else (owner.pool_type, owner.eos_id)
        )
        pooled = text_global_pool(tokens, ids, pool_type=kind, eos_token_id=eos)
        projection = owner.text_projection
        if projection is not None:
            pooled = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
        result: Tensor = pooled
        return result

    def _embedded(self, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens before the first block, and the attention mask of all blocks."""
        owner = self._owner
        if isinstance(owner, TextTransformer):
            embedded: tuple[Tensor, Tensor | None] = owner._embeds(ids)
            return embedded
        cast = owner.transformer.get_cast_dtype()
        return owner.token_embedding(ids).to(cast) + owner.positional_embedding.to(cast), owner.attn_mask

    def _through(self, blocks: list[Any], tokens: Tensor, mask: Tensor | None) -> Tensor:
        batch_first = self._owner.transformer.batch_first
        tokens = tokens if batch_first else tokens.transpose(0, 1)
        for block in blocks:
            tokens = block(tokens, attn_mask=mask)
        return tokens if batch_first else tokens.transpose(0, 1)


class _BertText:
    """A BERT of transformers behind open_clip's adapter, as in BiomedCLIP; padding is masked in every block."""

    def __init__(self, encoder: HFTextEncoder) -> None:
        self._encoder: Any = encoder
        self._bert: Any = encoder.transformer
        self.depth = len(self._bert.encoder.layer)

    def prefix(self, ids: Tensor, layer: int) -> Tensor:
        return self._through(0, layer + 1, self._bert.embeddings(input_ids=ids), self._real(ids))

    def suffix(self, tokens: Tensor, ids: Tensor, layer: int) -> Tensor:
        real = self._real(ids)
        last = self._through(layer + 1, self.depth, tokens, real)
        pooled = None if self._bert.pooler is None else self._bert.pooler(last)
        output = BaseModelOutputWithPooling(last_hidden_state=last, pooler_output=pooled)
        result: Tensor = self._encoder.proj(self._encoder.pooler(output, real.long()))
        return result

    def _real(self, ids: Tensor) -> Tensor:
        result: Tensor = ids != self._encoder.config.pad_token_id
        return result

    def _through(self, first: int, end: int, tokens: Tensor, real: Tensor) -> Tensor:
        hidden = torch.zeros_like(real, dtype=tokens.dtype).masked_fill(~real, torch.finfo(tokens.dtype).min)
        for block in self._bert.encoder.layer[first:end]:
            tokens = block(tokens, hidden[:, None, None])
        return tokens


def text_tower(network: nn.Module) -> TextTower:
    """Wrap the text side of an open_clip network so that it can be split after a layer.

    Raises:
        UserError: it is of a kind that cannot be split.
    """
    text: Any = network.text if isinstance(network, CustomTextCLIP) else network
    if isinstance(text, CLIP) or (isinstance(text, TextTransformer) and text.cls_emb is None):
        return _OpenClipText(text)
    if isinstance(text, HFTextEncoder) and isinstance(text.transformer, BertModel):
        return _BertText(text)
    kind = type(text.transformer if isinstance(text, HFTextEncoder) else text).__name__
    raise UserError(
        f"clip.model has a text tower of kind {kind}, which cannot be split at a layer; use one with a BERT or "
        "with open_clip's own text transformer without a class token."
    )
