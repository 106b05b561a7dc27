"""How likely texts are under a model: what a control costs in naturalness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.bootstrap import interval, resampled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lengthctl.models import LoadedTokenizer

__all__ = ["LikelyText", "TextLikelihood", "likelihood_change", "likelihood_levels", "text_likelihoods"]

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


@dataclass(frozen=True)
class LikelyText:
    """A text's likelihood with what it is grouped by."""

    prompt_id: str
    target: str
    likelihood: TextLikelihood


def likelihood_levels(texts: Sequence[LikelyText], seed: int) -> dict[str, Any]:
    """`{"overall": {measure: metric}, "by_target": {label: ...}}` of `nll_per_token` and `nll_open_per_token`: pooled,
    all nats over all tokens, with intervals over prompts. Empty texts count nothing."""
    labels = dict.fromkeys(text.target for text in texts)
    return {
        "overall": _level(texts, seed),
        "by_target": {label: _level([t for t in texts if t.target == label], seed) for label in labels},
    }


def likelihood_change(before: Sequence[LikelyText], after: Sequence[LikelyText], seed: int) -> dict[str, Any]:
    """Change (after - before) of the same measures, paired by prompt; empty without a prompt in common."""
    prompts = sorted({t.prompt_id for t in before} & {t.prompt_id for t in after})
    if not prompts:
        return {}
    weights = resampled(len(prompts), seed)
    out = {}
    for name, nats in _NATS.items():
        first, last = (_sums(side, prompts, nats) for side in (before, after))
        draws = _ratio(weights @ last[0], weights @ last[1]) - _ratio(weights @ first[0], weights @ first[1])
        value = float(last[0].sum() / last[1].sum() - first[0].sum() / first[1].sum())
        out[name] = _metric(value, draws, len(after))
    return out


_NATS: Mapping[str, Callable[[TextLikelihood], float]] = {
    "nll_per_token": lambda text: text.nll,
    "nll_open_per_token": lambda text: text.nll_open,
}


def _level(texts: Sequence[LikelyText], seed: int) -> dict[str, dict[str, float]]:
    written = [text for text in texts if text.likelihood.tokens]
    prompts = sorted({text.prompt_id for text in written})
    if not prompts:
        return {}
    weights = resampled(len(prompts), seed)
    out = {}
    for name, nats in _NATS.items():
        sums, tokens = _sums(written, prompts, nats)
        out[name] = _metric(float(sums.sum() / tokens.sum()), _ratio(weights @ sums, weights @ tokens), len(written))
    return out


def _metric(value: float, draws: NDArray[np.float64], n: int) -> dict[str, float]:
    low, high = interval(draws)
    return {"value": value, "low": low, "high": high, "n": n}


def _ratio(nats: NDArray[np.float64], tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = nats / tokens.clip(min=1)
    return found


def _sums(
    texts: Sequence[LikelyText], prompts: Sequence[str], nats: Callable[[TextLikelihood], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nats and tokens of each prompt."""
    import numpy as np

    index = {prompt: i for i, prompt in enumerate(prompts)}
    sums, tokens = np.zeros(len(prompts)), np.zeros(len(prompts))
    for text in texts:
        if text.prompt_id in index:
            sums[index[text.prompt_id]] += nats(text.likelihood)
            tokens[index[text.prompt_id]] += text.likelihood.tokens
    return sums, tokens
