"""Rules on one row of logits: what stop-temperature and budgets do to the next token. Pure but for torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch

__all__ = ["Rule", "StopScale", "TokenBudget", "build_rules"]


class Rule(Protocol):
    """What is done to one row of logits, in place."""

    def apply(self, row: torch.Tensor, written: Sequence[int]) -> None:
        """`row` (V,) fp32; `written` holds the answer's tokens so far."""
        ...


@dataclass
class StopScale:
    """Stop-temperature scaling (arXiv 2505.07961) of the tokens that end the phase, until one of them is written.

    `raw` divides the logit by `value`: the paper's form, whose direction depends on the logit's sign. `bias` adds
    `value`: the odds times e^value, whatever the offset of the logits. `logp` divides the log probability: above 1 it
    raises the probability. The last two and `after` are ours.
    """

    tokens: tuple[int, ...]
    mode: Literal["bias", "raw", "logp"]
    value: float
    after: int = 0
    """Tokens of the answer before which nothing is done."""
    _read: int = 0
    _closed: bool = False

    def __post_init__(self) -> None:
        self.tokens = _token_ids(self.tokens)
        if not math.isfinite(self.value):
            raise ValueError(f"stop_scale: value is a finite number, found {self.value}")
        if self.mode not in ("bias", "raw", "logp"):
            raise ValueError(f"stop_scale: mode is bias, raw or logp, found {self.mode!r}")
        if self.mode != "bias" and self.value <= 0:
            raise ValueError(f"stop_scale: a temperature is above 0, found {self.value}")

    def apply(self, row: torch.Tensor, written: Sequence[int]) -> None:
        """See the class."""
        self._closed = self._closed or any(token in self.tokens for token in written[self._read :])
        self._read = len(written)
        if self._closed or len(written) < self.after:
            return
        ids = list(self.tokens)
        if self.mode == "bias":
            row[ids] += self.value
        elif self.mode == "raw":
            row[ids] /= self.value
        else:  # z becomes lse + log p / T, so that the others keep their logits
            total = row.logsumexp(dim=0)
            row[ids] = total + (row[ids] - total) / self.value


@dataclass
class TokenBudget:
    """At `limit` tokens write `force` token by token, unless one of `until` came before; then let go.

    The hard upper half of budget forcing (arXiv 2501.19393) in one request.
    """

    limit: int
    force: tuple[int, ...]
    until: tuple[int, ...] = ()
    _read: int = 0
    _closed: bool = False

    def __post_init__(self) -> None:
        self.force, self.until = _token_ids(self.force), tuple(map(int, self.until))
        if self.limit < 0:
            raise ValueError(f"token_budget: limit is at least 0, found {self.limit}")

    def apply(self, row: torch.Tensor, written: Sequence[int]) -> None:
        """See the class."""
        before_limit = written[self._read : self.limit]
        self._closed = self._closed or any(token in self.until for token in before_limit)
        self._read = max(self._read, min(len(written), self.limit))
        place = len(written) - self.limit
        if self._closed or not 0 <= place < len(self.force):
            return
        row.fill_(-math.inf)
        row[self.force[place]] = 0.0


_RULES: Mapping[str, type[StopScale] | type[TokenBudget]] = {"stop_scale": StopScale, "token_budget": TokenBudget}


def _token_ids(ids: Sequence[int]) -> tuple[int, ...]:
    found = tuple(map(int, ids))
    if not found or min(found) < 0:
        raise ValueError(f"a rule needs token ids of 0 or more, found {list(ids)}")
    return found


def build_rules(settings: Mapping[str, Mapping[str, Any]]) -> list[Rule]:
    """The rules of a request, from `{name: settings}`.

    Raises:
        ValueError: unknown rule or setting, value out of range.
    """
    found: list[Rule] = []
    for name, fields in settings.items():
        if name not in _RULES:
            raise ValueError(f"no logit rule {name!r}; known: {', '.join(_RULES)}")
        try:
            found.append(_RULES[name](**fields))
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from error
    return found
