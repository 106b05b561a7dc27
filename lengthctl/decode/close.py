"""`close`: any target without training. Texts grow by whole sentences until one ends inside the band.

Several texts are begun. Where no sentence of theirs ends inside the band, one goes back to the end of a sentence some
way before it, and several continuations are sampled from there: much as if whole texts were drawn until one fits, at
the cost of the last sentences only. Of several that fit the likeliest is kept; `pick=drawn` keeps any. Ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from lengthctl.decode.control import Context, Draw, Outcome, Steps, Task, needs_a_length
from lengthctl.decode.draft import Ending, endings, token_texts
from lengthctl.length import Band, Relation, Target
from lengthctl.prompts import stable_hash
from lengthctl.records import Completion, FinishReason
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability, Sampling
from lengthctl.scoring import HIT_SLACK, HIT_TOLERANCE, hit_band
from lengthctl.token_rates import expected_tokens, least_tokens

__all__ = ["Close"]

_FIRST_RATE = 1.15
"""On the expected tokens of a length, before the text has shown its own: a bound too low costs another round."""
_PAST_AN_END = 1.0
"""What going on where the model would have ended counts as, in the cost of a point: a gap 2.7 times too wide."""
_SENTENCE_TOKENS = 24
"""A continuation of about so many tokens to the middle of the band is likeliest to end in it."""


@dataclass(frozen=True)
class _Point:
    """A place to go on from."""

    ids: tuple[int, ...]
    length: int
    is_end: bool = False
    """The model would have ended there."""


@dataclass(frozen=True)
class _Candidate:
    """A text that ends inside the band."""

    ending: Ending
    ids: tuple[int, ...]
    is_natural: bool
    logprob: float
    """Mean over the tokens since the point that it was sampled from."""


@dataclass
class _Search:
    """What is known of one text: points, how often each was tried, texts that fit."""

    target: Target
    band: Band
    context: Context
    points: dict[tuple[int, ...], _Point] = field(default_factory=lambda: {(): _Point((), 0)})
    tried: dict[tuple[int, ...], int] = field(default_factory=dict)
    candidates: list[_Candidate] = field(default_factory=list)
    unfinished: Outcome | None = None
    """A text that the model ended inside the band, but on no whole sentence."""
    longest: tuple[int, ...] = ()
    rate: float = 0.0

    def __post_init__(self) -> None:
        self.rate = _FIRST_RATE * expected_tokens(1, self.target.unit)

    def count(self, text: str) -> int:
        return self.context.count(text, self.target)

    def take(self, prefix: tuple[int, ...], completion: Completion) -> None:
        """Look at a continuation: where does it end inside the band, and where could one go on from?"""
        assert self.context.tokenizer is not None
        natural = completion.finish is FinishReason.EOS
        written = completion.token_ids[:-1] if natural else completion.token_ids
        ids = (*prefix, *written)
        if len(ids) > len(self.longest):
            self.longest = ids
        decode = self.context.tokenizer.decode
        text = decode(ids)
        length = self.count(text)
        if length >= 8:
            self.rate = max(0.5 * self.rate, 1.05 * len(ids) / length)
        found = endings(ids, decode, self.count, is_natural=natural)
        if natural and length in self.band and (not found or found[-1].text != text.rstrip()):
            self.unfinished = Outcome(text, ids, FinishReason.EOS)  # a list, a line of verse
        if length < self.band.low and len(ids) < self.context.sampling.max_tokens:
            # cut by the bound of the draw, or ended early: it can go on
            self.points.setdefault(ids, _Point(ids, length, is_end=natural))
        new = [ending for ending in found if ending.tokens > len(prefix)]
        for ending in new:
            if ending.length < self.band.low:
                here = ids[: ending.tokens]
                self.points.setdefault(here, _Point(here, ending.length))
        if inside := [ending for ending in new if ending.length in self.band]:
            best = self._best(inside)
            gained = completion.logprobs[: best.tokens - len(prefix)]
            mean = sum(gained) / len(gained) if gained else -math.inf
            self.candidates.append(_Candidate(best, ids[: best.tokens], natural and best is found[-1], mean))

    def _best(self, inside: Sequence[Ending]) -> Ending:
        """Where a draw that could end at several places ends: nearest to a number asked for, else as late as it may."""
        if self.target.relation in (Relation.EXACT, Relation.ABOUT):
            return min(inside, key=lambda ending: abs(ending.length - self.target.value))
        return inside[-1]

    def next_point(self) -> _Point:
        """The place from which a continuation is likeliest to end inside the band; one that failed is tried again
        later, and then one farther back."""
        middle = self.band.low if math.isinf(self.band.high) else (self.band.low + self.band.high) / 2

        def cost(point: _Point) -> tuple[float, int]:
            gap = (middle - point.length) * self.rate
            off = abs(math.log(max(gap, 1.0) / _SENTENCE_TOKENS))
            return off + 0.7 * self.tried.get(point.ids, 0) + _PAST_AN_END * point.is_end, -point.length

        best = min(self.points.values(), key=cost)
        self.tried[best.ids] = self.tried.get(best.ids, 0) + 1
        return best

    def sampling(self, point: _Point, bias: dict[int, float], *, is_held: bool) -> Sampling:
        """From a point to the end of the band and no farther."""
        gap = self.band.low - point.length
        hold = max(1, math.floor(least_tokens(gap, self.target.unit) if is_held else 0)) if gap > 0 else 0
        base = self.context.sampling
        room = base.max_tokens - len(point.ids)
        if not math.isinf(self.band.high):
            room = min(room, math.ceil((self.band.high - point.length) * self.rate) + 8)
        return replace(base, max_tokens=max(1, room), min_tokens=min(hold, max(0, room - 1)), logit_bias=bias)


@register("control", "close")
@dataclass(frozen=True)
class Close:
    """See the module. Options trade tokens for hits."""

    branches: int = 4
    """Continuations of one round."""
    starts: int = 4
    """Draws of the first round, from the beginning."""
    hold: bool = False
    """Hold the end back below the band from the start; else a text may end there, others go on from before its end,
    and only the second half of the rounds holds it. With `starts=1,hold=true` a text costs 0.6 of the tokens, and 0.10
    nats a token of likelihood (README)."""
    rounds: int = 8
    """Rounds after the first draw; then the text is cut at a word."""
    tolerance: float = HIT_TOLERANCE
    """Relative half-width of the band of an exact target."""
    slack: int = HIT_SLACK
    """Its least half-width, in the target's unit."""
    pick: Literal["likely", "nearest", "drawn"] = "likely"
    """Of several texts that fit: the likeliest per token, the nearest to the target, or one at random."""
    end_bias: float = 0.0
    """Added to the logits of tokens that end a sentence, in continuations: fewer rounds, less natural texts."""
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.PREFIX})

    def __post_init__(self) -> None:
        if self.branches < 1 or self.starts < 1 or self.rounds < 0:
            raise ValueError("branches and starts are at least 1, and rounds at least 0")

    def refuses(self, target: Target | None) -> str | None:
        """A text without a length."""
        return needs_a_length(target)

    def room(self, task: Task, limit: int) -> int:
        """The text."""
        return limit

    def steps(self, task: Task, context: Context) -> Steps:
        """See the module."""
        assert task.target is not None
        assert context.tokenizer is not None
        band = hit_band(task.target, self.tolerance, self.slack)
        search = _Search(task.target, band, context)
        bias = dict.fromkeys(context.tokenizer.sentence_end_ids, self.end_bias) if self.end_bias else {}
        for number in range(self.rounds + 1):
            point = search.next_point()
            sampling = search.sampling(point, bias if number else {}, is_held=self.hold or number > self.rounds // 2)
            draw = Draw(task.messages, sampling, point.ids)
            for completion in (yield [draw] * (self.branches if number else self.starts)):
                search.take(point.ids, completion)
            if search.candidates:
                return self._outcome(self._pick(search, task.id))
        return search.unfinished or _cut(search)

    def _pick(self, search: _Search, task_id: str) -> _Candidate:
        if self.pick == "nearest":
            return min(search.candidates, key=lambda c: abs(c.ending.length - search.target.reference(c.ending.length)))
        if self.pick == "drawn":
            return search.candidates[stable_hash(task_id) % len(search.candidates)]
        return max(search.candidates, key=lambda c: (c.is_natural, c.logprob))

    def _outcome(self, candidate: _Candidate) -> Outcome:
        finish = FinishReason.EOS if candidate.is_natural else FinishReason.CLOSED
        return Outcome(candidate.ending.text, candidate.ids, finish)


def _cut(search: _Search) -> Outcome:
    """No sentence ends inside the band: end at a word inside it, in the longest text there is."""
    assert search.context.tokenizer is not None
    parts = token_texts(search.longest, search.context.tokenizer.decode)
    best: tuple[float, int, str] | None = None
    text = ""
    for index, part in enumerate(parts):
        text += part
        at_word = index + 1 == len(parts) or parts[index + 1][:1].isspace() or not parts[index + 1]
        if at_word and (length := search.count(text)) > 0:
            off = abs(length - search.target.reference(length))
            if best is None or off < best[0]:
                best = off, index + 1, text
            if length > search.band.high:
                break
    if best is None:
        return Outcome("", (), FinishReason.ERROR, error="nothing was written")
    return Outcome(best[2].rstrip(), search.longest[: best[1]], FinishReason.CLOSED, is_cut=True)
