"""Texts against the meta length token that stands in front of them, whoever chose it: did a model keep what it said?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lengthctl.evaluate.bootstrap import mean_interval
from lengthctl.length import Encoder, count_length
from lengthctl.mlt_table import MltTable

__all__ = ["own_token_summary"]


def own_token_summary(
    rows: Sequence[Mapping[str, Any]], table: MltTable, seed: int, tokenizer: Encoder | None = None
) -> dict[str, Any] | None:
    """`fm` and `pm`: shares of the texts inside the bands of their own token, as metrics with 95 % intervals over
    prompts; `by_token`: `n` and `fm` of each; `no_token`: texts without one, which count in neither. None where no text
    has one.

    Args:
        rows: sample records, with `text`, `prompt_id`, and `mlt` where a token stood in front.
        table: of the model.
        seed: of the bootstrap.
        tokenizer: for a table in tokens.

    Source: Ruler, arXiv 2409.18943, section 5.3 (self-generated tokens). A token is left out of its text's length.
    """
    led = [row for row in rows if row.get("mlt") is not None]
    if not led:
        return None
    names = [str(row["mlt"]) for row in led]
    lengths = [count_length(row["text"], table.unit, tokenizer) for row in led]
    tokens = {token.name: token for token in table.tokens}
    pairs = list(zip(names, lengths, strict=True))
    hits = {
        "fm": [float(length in tokens[name].fm) for name, length in pairs],
        "pm": [float(length in tokens[name].pm) for name, length in pairs],
    }
    prompts = [str(row["prompt_id"]) for row in led]
    counts = Counter(names)
    kept = Counter(name for name, hit in zip(names, hits["fm"], strict=True) if hit)
    return {
        **{kind: _metric(values, prompts, seed) for kind, values in hits.items()},
        "by_token": {name: {"n": counts[name], "fm": kept[name] / counts[name]} for name in tokens if counts[name]},
        "no_token": len(rows) - len(led),
    }


def _metric(values: Sequence[float], prompts: Sequence[str], seed: int) -> dict[str, Any]:
    low, high = mean_interval(values, prompts, seed)
    return {"value": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
