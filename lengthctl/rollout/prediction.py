"""How long a completion will be: what the request asks for, what its group, its prompt and its like have shown. Pure.

Elsewhere a trained ranker guesses lengths (arXiv 2408.15792) or a probe of each group is run first (arXiv 2511.14617);
here most requests name theirs. In order of trust: a target that is followed closely, what history tells of the same
prompt, finished members of the same group, the last completions of the same prompt, a target that is followed loosely,
prompts of the same kind and size, all prompts, the limit. Each is a median, because one completion that loops up to
the limit would rule a mean (arXiv 2505.16881), and of the last ones, because the policy drifts. Ours.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from lengthctl.length import Target
from lengthctl.rollout.backend import Request
from lengthctl.token_rates import expected_tokens

__all__ = ["LengthPredictor", "PastLengths", "prompt_key"]

_OF_PROMPT, _OF_TARGET, _OF_LIKE = 16, 128, 512
"""Completions that a median looks back on: a group, a target's and a kind's share of a call. Fewer would be the last to
end, which are the longest."""

_CLOSE = 0.14
"""A target whose completions miss `target x measured ratio` by no more than this (median absolute log ratio) tells
more than a finished member of the group, which misses the others by 0.14 (`scripts/length_prediction.py`)."""

_ENOUGH = 8
"""Completions before a ratio, a kind or a follow error counts as measured."""


@dataclass(frozen=True)
class PastLengths:
    """Lengths in tokens, each at least 1, that one prompt had before: in an earlier run, or in a published table.

    `prompt` is what `LengthPredictor`'s `prompt_of` gives for its requests, None where that is not known.
    """

    sizes: tuple[int, ...]
    prompt: Hashable | None = None
    prompt_tokens: int | None = None
    target: Target | None = None
    kind: str = ""


def prompt_key(request: Request) -> Hashable | None:
    """What names a prompt: a hash of its tokens, the same in every process; None for a request without them."""
    return hash(request.prompt_ids) if request.prompt_ids else None


def _no_kind(request: Request) -> str:
    return ""


class _Recent:
    """Median of the last values. What history gave stands until half of the window is filled by the run itself."""

    def __init__(self, keep: int, start: float | None = None) -> None:
        self._values: deque[float] = deque(maxlen=keep)
        self._takes_over = keep // 2
        self._start = start
        self._median: float | None = None
        """None: to be computed."""

    def add(self, value: float) -> None:
        self._values.append(value)
        self._median = None

    @property
    def given(self) -> float | None:
        """What history gave, as long as it stands."""
        return self._start if len(self._values) < self._takes_over else None

    def known(self, enough: int = 1) -> float | None:
        """The median; None for fewer than `enough` values without history."""
        if (given := self.given) is not None:
            return given
        if len(self._values) < enough:
            return None
        if self._median is None:
            self._median = statistics.median(self._values)
        return self._median


class LengthPredictor:
    """Expected completion tokens of a request; learns from every completion.

    Args:
        kind: what a request is about (a dataset, a task), so that prompts of one kind tell of each other.
        prompt_of: names a request's prompt; None where it has no name.
    """

    def __init__(
        self,
        *,
        kind: Callable[[Request], str] = _no_kind,
        prompt_of: Callable[[Request], Hashable | None] = prompt_key,
    ) -> None:
        self._kind = kind
        self._prompt_of = prompt_of
        self._by_group: dict[str, _Recent] = {}
        self._by_prompt: dict[Hashable, _Recent] = {}
        self._by_target: dict[Target, _Recent] = {}
        self._by_like: dict[tuple[str | int, ...], _Recent] = {}
        self._ratio = _Recent(_OF_LIKE)
        self._miss = _Recent(_OF_LIKE)

    @classmethod
    def from_history(
        cls,
        stats: Iterable[PastLengths],
        *,
        kind: Callable[[Request], str] = _no_kind,
        prompt_of: Callable[[Request], Hashable | None] = prompt_key,
    ) -> LengthPredictor:
        """A predictor that knows earlier lengths of its model; the order of `stats` does not matter.

        A prompt counts once among its like, by its median, however many completions it has.
        """
        out = cls(kind=kind, prompt_of=prompt_of)
        prompts: dict[Hashable, list[float]] = {}
        targets: dict[Target, list[float]] = {}
        likes: dict[tuple[str | int, ...], list[float]] = {}
        for past in stats:
            if not past.sizes:
                continue
            middle = statistics.median(past.sizes)
            if past.prompt is not None:
                prompts.setdefault(past.prompt, []).extend(past.sizes)
            if past.target is not None:
                targets.setdefault(past.target, []).extend(past.sizes)
            for like in _likes(past.kind, past.prompt_tokens):
                likes.setdefault(like, []).append(middle)
        out._by_prompt = {key: _Recent(_OF_PROMPT, statistics.median(sizes)) for key, sizes in prompts.items()}
        out._by_target = {target: _Recent(_OF_TARGET, statistics.median(sizes)) for target, sizes in targets.items()}
        out._by_like = {like: _Recent(_OF_LIKE, statistics.median(middles)) for like, middles in likes.items()}
        if targets:
            middles = {target: statistics.median(sizes) for target, sizes in targets.items()}
            ratios = [middle / _from_target(target) for target, middle in middles.items()]
            misses = [_miss(size, middles[target]) for target, sizes in targets.items() for size in sizes]
            out._ratio = _Recent(_OF_LIKE, statistics.median(ratios))
            out._miss = _Recent(_OF_LIKE, statistics.median(misses))
        return out

    def expect(self, request: Request) -> float:
        """Tokens, at least 1 and at most the request's limit."""
        return min(max(1.0, self._known(request)), float(request.sampling.max_tokens))

    def _known(self, request: Request) -> float:
        asked = None if request.target is None else self._asked(request.target)
        miss = self._miss.known(_ENOUGH)
        if asked is not None and miss is not None and miss <= _CLOSE:
            return asked
        past = self._by_prompt.get(self._prompt_of(request))
        if past is not None and (found := past.given) is not None:
            return found
        if request.group in self._by_group and (members := self._by_group[request.group].known()) is not None:
            return members
        if past is not None and (found := past.known()) is not None:
            return found
        if asked is not None:
            return asked
        *closer, everything = _likes(self._kind(request), len(request.prompt_ids))
        for like in closer:
            if like in self._by_like and (found := self._by_like[like].known(_ENOUGH)) is not None:
                return found
        found = self._by_like[everything].known() if everything in self._by_like else None
        return found if found is not None else float(request.sampling.max_tokens)

    def _asked(self, target: Target) -> float:
        """Tokens that a target takes: what it took, else in proportion to what others took of theirs."""
        if target in self._by_target and (own := self._by_target[target].known()) is not None:
            return own
        ratio = self._ratio.known(_ENOUGH)
        return _from_target(target) * (1.0 if ratio is None else ratio)

    def observe(self, request: Request, tokens: int) -> None:
        """A completion of so many tokens came back; of one cut by the limit they are a lower bound, taken as it is."""
        if request.group:
            self._by_group.setdefault(request.group, _Recent(_OF_LIKE)).add(tokens)
        if (key := self._prompt_of(request)) is not None:
            self._by_prompt.setdefault(key, _Recent(_OF_PROMPT)).add(tokens)
        if request.target is not None:
            self._miss.add(_miss(tokens, self._asked(request.target)))
            self._ratio.add(tokens / _from_target(request.target))
            self._by_target.setdefault(request.target, _Recent(_OF_TARGET)).add(tokens)
        for like in _likes(self._kind(request), len(request.prompt_ids)):
            self._by_like.setdefault(like, _Recent(_OF_LIKE)).add(tokens)

    def forget_groups(self) -> None:
        """Group names belong to one call; prompts, targets and kinds are remembered."""
        self._by_group.clear()


def _likes(kind: str, prompt_tokens: int | None) -> list[tuple[str | int, ...]]:
    """Prompts that a prompt is like, the closest first: kind and size (to a factor of two), kind, all."""
    sized = [] if prompt_tokens is None else [(kind, prompt_tokens.bit_length())]
    return [*sized, (kind,), ()]


def _miss(tokens: float, expected: float) -> float:
    return abs(math.log(max(1.0, tokens) / max(1.0, expected)))


def _from_target(target: Target) -> float:
    centre = target.value if target.high is None else (target.value + target.high) / 2
    return expected_tokens(centre, target.unit)
