"""A random Llama of a few thousand weights whose tokens are bytes, in memory or as a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lengthctl.models import CHATML

PADDED = 320
"""Rows of the embedding, more than there are tokens."""


def byte_tokenizer(**settings: Any) -> Any:
    """Bytes as tokens, and the marks of ChatML; 259 tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytes_ = Tokenizer(models.BPE(letters, []))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    marks = ["<eos>", "<|im_start|>", "<|im_end|>"]
    bytes_.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    options = {"eos_token": "<eos>", "extra_special_tokens": marks[1:], "chat_template": CHATML, **settings}
    return PreTrainedTokenizerFast(tokenizer_object=bytes_, **options)


def byte_model(
    *, tied: bool, rows: int = PADDED, dtype: torch.dtype = torch.float32, seed: int = 0, **changes: int
) -> Any:
    """The same weights in each call with the same seed; `changes` are other sizes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, **changes}
    return LlamaForCausalLM(LlamaConfig(vocab_size=rows, tie_word_embeddings=tied, **sizes)).to(dtype)


def save_byte_model(folder: Path, *, tied: bool = True, rows: int = PADDED) -> Path:
    """A folder as transformers writes it."""
    byte_model(tied=tied, rows=rows).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder
