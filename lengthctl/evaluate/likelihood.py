"""How likely texts are under a model: what a control costs in naturalness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lengthctl.models import LoadedTokenizer

__all__ = ["TextLikelihood", "text_likelihoods"]

_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class TextLikelihood:
    """Of one text: summed negative log-likelihood in nats at temperature 1, and the tokens that it is summed over.

    `nll_open` is the same with the stop tokens taken out of the vocabulary: the cost of the words alone, without that
    of going on where the model would have ended.
    """

    nll: float
    nll_open: float
    tokens: int


def text_likelihoods(
    model: Any,
    tokenizer: LoadedTokenizer,
    texts: Sequence[tuple[Sequence[dict[str, str]], str]],
    tick: Callable[[int], None] = lambda done: None,
) -> list[TextLikelihood]:
    """Likelihoods of `(messages, text)` pairs, the stop token left out.

    Args:
        model: a causal LM of transformers.
        tokenizer: its tokenizer, with the template that the texts were asked with.
        texts: the conversation up to the answer, and the answer; which is tokenised as one text.
        tick: told of the number that is done.

    Returns:
        In the order of the texts; of an empty one all is 0.
    """
    import torch

    rows = [(tokenizer.prompt_ids(list(messages)), tokenizer.encode(text)) for messages, text in texts]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]) + len(rows[i][1]))
    found: dict[int, TextLikelihood] = {}
    with torch.inference_mode():
        batch: list[int] = []
        for position, index in enumerate(order):
            batch.append(index)
            longest = len(rows[index][0]) + len(rows[index][1])
            if longest * (len(batch) + 1) > _BATCH_TOKENS or position + 1 == len(order):
                found.update(zip(batch, _one_batch(model, tokenizer, [rows[i] for i in batch]), strict=True))
                tick(len(found))
                batch = []
    return [found[i] for i in range(len(rows))]


def _one_batch(
    model: Any, tokenizer: LoadedTokenizer, rows: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[TextLikelihood]:
    import torch

    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, (prompt, answer) in enumerate(rows):  # padded behind: positions stay as they are
        length = len(prompt) + len(answer)
        ids[i, :length] = torch.tensor([*prompt, *answer])
        mask[i, :length] = 1
    hidden = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
    found = []
    for i, (prompt, answer) in enumerate(rows):
        logits = hidden[i, len(prompt) - 1 : len(prompt) + len(answer) - 1].float()
        target = torch.tensor(list(answer), dtype=torch.long, device=logits.device)
        chosen = logits.gather(1, target[:, None]).squeeze(1)
        whole = logits.logsumexp(dim=1)
        logits[:, list(tokenizer.stop_token_ids)] = float("-inf")
        kept = logits.logsumexp(dim=1)
        found.append(TextLikelihood(float((whole - chosen).sum()), float((kept - chosen).sum()), len(answer)))
    return found
