"""How long a completion will be: what the request asks for, what its group and its prompt have shown. Pure.

Elsewhere a trained ranker guesses lengths (arXiv 2408.15792) or a probe of each group is run first (arXiv 2511.14617);
here most requests name theirs. In order of trust: finished members of the same group, the last completions of the
same prompt, completions of the same target, the target times the tokens a unit, the mean of all, the limit. Ours.
"""

from __future__ import annotations

from lengthctl.length import Target, Unit
from lengthctl.rollout.backend import Request

__all__ = ["LengthPredictor"]

_KEEP = 0.5
"""Weight of the past in a running mean: the policy's lengths drift from step to step."""

_TOKENS_PER_UNIT = {Unit.TOKENS: 1.0, Unit.CHARACTERS: 0.25, Unit.SENTENCES: 25.0}
_TOKENS_PER_WORD = 1.4


class LengthPredictor:
    """Expected completion tokens of a request; learns from every completion."""

    def __init__(self) -> None:
        self._by_group: dict[str, tuple[float, int]] = {}
        self._by_prompt: dict[int, float] = {}
        self._by_target: dict[str, float] = {}
        self._mean: float | None = None

    def expect(self, request: Request) -> float:
        """Tokens, at least 1 and at most the request's limit."""
        found = self._known(request)
        return min(max(1.0, found), float(request.sampling.max_tokens))

    def _known(self, request: Request) -> float:
        if request.group in self._by_group:
            total, count = self._by_group[request.group]
            return total / count
        past = self._by_prompt.get(hash(request.prompt_ids))
        if past is not None:
            return past
        if request.target is not None:
            return self._by_target.get(_key(request.target)) or _from_target(request.target)
        return self._mean if self._mean is not None else float(request.sampling.max_tokens)

    def observe(self, request: Request, tokens: int) -> None:
        """A completion of so many tokens came back; of one cut by the limit they are a lower bound, taken as it is."""
        if request.group:
            total, count = self._by_group.get(request.group, (0.0, 0))
            self._by_group[request.group] = (total + tokens, count + 1)
        if request.prompt_ids:
            key = hash(request.prompt_ids)  # of a tuple of numbers: the same in every process
            self._by_prompt[key] = _blend(self._by_prompt.get(key), tokens)
        if request.target is not None:
            label = _key(request.target)
            self._by_target[label] = _blend(self._by_target.get(label), tokens)
        self._mean = _blend(self._mean, tokens)

    def forget_groups(self) -> None:
        """Group names belong to one call; prompts and targets are remembered."""
        self._by_group.clear()


def _blend(past: float | None, value: float) -> float:
    return value if past is None else _KEEP * past + (1 - _KEEP) * value


def _key(target: Target) -> str:
    return f"{target.label} {target.unit}"


def _from_target(target: Target) -> float:
    centre = target.value if target.high is None else (target.value + target.high) / 2
    return centre * _TOKENS_PER_UNIT.get(target.unit, _TOKENS_PER_WORD)
