"""Meta length tokens (MLT) in a tokenizer and a model: adding them, checking them, training their rows.

Source: arXiv 2409.18943; its code adds rows and nothing else. What differs is ours, and said at each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, assert_never

from lengthctl.errors import ModelError
from lengthctl.length import Relation, Target, Unit
from lengthctl.mlt import MLT_FILE, MltRecord, MltTable

__all__ = ["RowInit", "add_tokens", "check", "install", "lora_indices"]

RowInit = Literal["phrase", "mean"]
"""Where the row of a new token begins: at the mean of the rows of a phrase that names the length, or of all rows."""

_NUDGE = 0.01
"""Relative size of the noise on a row that all but equals another: more than the spacing of bf16, 0.4 %. Ours."""


def install(model: Any, tokenizer: Any, table: MltTable, *, init: RowInit = "phrase") -> tuple[int, ...]:
    """Add the tokens of a table to a tokenizer and a model, both changed in place; their ids, in the table's order.

    The matrix grows only when the ids need it and never shrinks: many are padded beyond the tokenizer. Dtype, tying and
    the rows of other tokens stay as they are, bit for bit. So does the row of a token that was there before.

    New rows differ from the source, which draws them at random: `phrase` is the mean of the rows of, say,
    " about 300 words", in an untied head of the head's rows; `mean` is the mean over all tokens known before. A row
    that comes out as another's, as for 12 and 21 in single digits, gets 1 % of noise, the same in each call.

    Raises:
        ModelError: see `add_tokens`. The model is untouched then.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    before = tokenizer.get_vocab()
    sources = [[i for i in _source_ids(tokenizer, token.target, init) if i < rows] for token in table.tokens]
    texts = [token.text for token in table.tokens]
    ids = add_tokens(tokenizer, table)
    if (needed := max(len(tokenizer), *(i + 1 for i in ids))) > rows:
        model.resize_token_embeddings(needed, mean_resizing=False)
    new = {i: source for i, source, text in zip(ids, sources, texts, strict=True) if text not in before or i >= rows}
    for weight in _weights(model):
        _begin_rows(weight, new, min(len(before), rows))
    return ids


def add_tokens(tokenizer: Any, table: MltTable) -> tuple[int, ...]:
    """Add the tokens of a table to a tokenizer, in place; their ids, in the table's order.

    Raises:
        ModelError: no chat template or no end-of-sequence token, the tokenizer unchanged; or it splits an added token.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError("the tokenizer has no chat template", "Set model.chat_template to a .jinja file, or to chatml")
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no eos token", "Set eos_token in tokenizer_config.json")
    texts = [token.text for token in table.tokens]
    # replacing, the default, would make ordinary tokens of the special ones that the model has
    tokenizer.add_special_tokens({"extra_special_tokens": texts}, replace_extra_special_tokens=False)
    return tuple(_single_id(tokenizer, text) for text in texts)


def check(tokenizer: Any, record: MltRecord) -> None:
    """Make sure that a tokenizer reads each recorded token as its recorded id.

    Raises:
        ModelError: it splits one, or gives it another id; the message names the token.
    """
    for i, token in record.by_id.items():
        found = _single_id(tokenizer, token.text)
        if found != i:
            raise ModelError(
                f"{token.text} is token {found} of this tokenizer, and {i} in {MLT_FILE}",
                "Use the tokenizer that was saved with the model",
            )


def lora_indices(model: Any, ids: Sequence[int]) -> dict[str, list[int]]:
    """The value of `trainable_token_indices` of peft's `LoraConfig`, for a model without adapter.

    Tied: the embedding alone, whose rows peft ties to the head's. Untied: both, by their names in the model.
    `modules_to_save` instead would untie a tied head, whose rows then stay old (peft 0.21.2).

    Raises:
        ModelError: an id without a row.
    """
    layers = _layers(model)
    for layer in layers:
        if ids and max(ids) >= layer.weight.shape[0]:
            raise ModelError(f"the model has no row for token {max(ids)}", "Install the tokens before the adapter")
    names = [name for name, module in model.named_modules() if any(module is layer for layer in layers)]
    return {name: list(ids) for name in names}


def _layers(model: Any) -> list[Any]:
    """The embedding, and the head where it has its own weight."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return [embedding] if head is None or head.weight is embedding.weight else [embedding, head]


def _weights(model: Any) -> list[Any]:
    """Tensors with one row a token."""
    layers = _layers(model)
    biases = [layer.bias for layer in layers if getattr(layer, "bias", None) is not None]
    return [*(layer.weight for layer in layers), *biases]


def _begin_rows(weight: Any, sources: dict[int, list[int]], known: int) -> None:
    import torch

    noise = torch.Generator().manual_seed(0)
    taken: list[Any] = []
    with torch.no_grad():
        for i, source in sources.items():
            row = weight[source or list(range(known))].float().mean(dim=0)
            if row.dim() and any(torch.dist(row, other) < _NUDGE / 2 * row.norm() for other in taken):
                row = row + _NUDGE * row.square().mean().sqrt() * torch.randn(row.shape, generator=noise).to(row.device)
            taken.append(row)
            weight[i] = row.to(weight.dtype)


def _single_id(tokenizer: Any, text: str) -> int:
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer splits {text} into {len(ids)} tokens, and one is needed", "Use another")
    return int(ids[0])


def _source_ids(tokenizer: Any, target: Target, init: RowInit) -> list[int]:
    """Ids whose rows are averaged; none for all."""
    match init:
        case "mean":
            return []
        case "phrase":
            return list(tokenizer.encode(_phrase(target), add_special_tokens=False))
        case _:
            assert_never(init)


def _phrase(target: Target) -> str:
    unit = "words" if target.unit.startswith(Unit.WORDS) else str(target.unit)
    match target.relation:
        case Relation.EXACT | Relation.ABOUT:
            return f" about {target.value} {unit}"
        case Relation.AT_LEAST:
            return f" about more than {target.value - 1} {unit}"
        case Relation.AT_MOST:
            return f" about at most {target.value} {unit}"
        case Relation.RANGE:
            return f" about {target.value} to {target.high} {unit}"
        case _:
            assert_never(target.relation)
