"""Signs in a run's log that the policy games its reward. Pure: numbers of the steps in, findings out.

A sign compares the first steps with the last ones: the reward has risen for sure, and so has (or fallen) a measure that
should not go with it, for sure and by more than a margin. Windows, margins and sureness are ours; the modes are those
that length rewards, judges and surrogates without labels are known for (e.g. arXiv 2505.19439, 2506.00103).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

__all__ = ["SIGNS", "WINDOW", "Finding", "HackingSigns", "Sign", "find_hacking"]

Numbers = Mapping[str, float]
"""What one step has logged."""

WINDOW = 10
"""Logged steps at the beginning and at the end that are compared; nothing is told before twice as many."""
_KNOWN = 5
"""Steps of a window that must have the measure."""
_SURE = 6.0
"""Change over its standard error: looked at after every step, less would be reached by chance in a long run."""
_REWARD_SURE = 3.0


@dataclass(frozen=True)
class Sign:
    """One way of gaming."""

    cause: str
    """Its name."""
    says: str
    """What is measured, in words."""
    measure: Callable[[Numbers], float | None]
    """Of one step; None where it is not known."""
    margin: float
    """Least change, in the measure's unit."""
    remedy: str
    """What to do."""
    way: int = 1
    """1: a rise is the sign; -1: a fall; 0: either."""
    guard: Callable[[float, Sequence[Numbers]], bool] = lambda change, late: True
    """What else must hold, given the change and the last steps."""
    as_text: Callable[[float], str] = "{:.2f}".format
    """How a value is printed."""


@dataclass(frozen=True)
class Finding:
    """A sign that was seen."""

    step: int
    """The first step after which it held."""
    cause: str
    """`Sign.cause`."""
    what: str
    """What moved, from where to where."""
    remedy: str
    """`Sign.remedy`."""

    def __str__(self) -> str:
        return f"{self.cause}: {self.what}; {self.remedy}"


def _log(key: str) -> Callable[[Numbers], float | None]:
    return lambda step: step.get(key)


def _deviation(step: Numbers) -> float | None:
    """Over all units."""
    ends = "/mean_abs_relative_deviation"
    found = [value for key, value in step.items() if key.startswith("adherence/") and key.endswith(ends)]
    return fmean(found) if found else None


def _ratio(over: str, under: str) -> Callable[[Numbers], float | None]:
    def measure(step: Numbers) -> float | None:
        top, bottom = step.get(over), step.get(under)
        return top / bottom if top is not None and bottom else None

    return measure


def _thinking(step: Numbers) -> float | None:
    reasoning, answer = step.get("text/reasoning_words"), step.get("text/answer_words")
    if reasoning is None or answer is None or reasoning + answer <= 0:
        return None
    return reasoning / (reasoning + answer)


def _log_length(step: Numbers) -> float | None:
    tokens = step.get("completions/mean_length")
    return math.log(tokens) if tokens and tokens > 0 else None


_WRONG_TO_CORRECT = _ratio("tokens/wrong", "tokens/correct")


def _is_short(change: float, late: Sequence[Numbers]) -> bool:
    """Wrong answers are the longer ones where nothing is gamed."""
    return _mean(_values(_WRONG_TO_CORRECT, late)) < 0.8


def _judge_agrees(change: float, late: Sequence[Numbers]) -> bool:
    """The judge prefers the length that the policy went to: a slope of 0.5 is odds of 1.4 for the double; where single
    texts are graded, lengths explain a tenth of what grades differ by within a group (r of 0.32)."""
    bounds = {"pairwise/length_slope": 0.5, "judge/length_correlation": 0.32}
    way = math.copysign(1, change)
    return any(_mean(_values(_log(key), late)) * way > bound for key, bound in bounds.items())


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


SIGNS = (
    Sign(
        "repetition",
        "the share of repeated word trigrams",
        _log("text/repetition"),
        0.05,
        "add the reward `repetition` as a gate",
        as_text=_percent,
    ),
    Sign(
        "loops",
        "the longest stretch that a text repeats, as a share of it,",
        _log("text/longest_repeat"),
        0.05,
        "add the reward `loops` as a gate",
        as_text=_percent,
    ),
    Sign(
        "cut endings",
        "the share of texts without an end",
        _log("text/unfinished_fraction"),
        0.15,
        "add the rewards `finished` and `natural_stop` as gates",
        as_text=_percent,
    ),
    Sign(
        "length away from its target",
        "the mean |relative deviation| from the target",
        _deviation,
        0.1,
        "give the length reward more weight, or make it a gate",
        as_text=_percent,
    ),
    Sign(
        "judge by length",
        "the length of completions",
        _log_length,
        math.log(1.25),
        "the judge prefers that length: compare texts of like length only (`length_band` of `pairwise`), or gate "
        "`judge` by a length reward",
        way=0,
        guard=_judge_agrees,
        as_text=lambda value: f"{math.exp(value):.0f} tokens",
    ),
    Sign(
        "markup",
        "the share of characters that are markup",
        _log("text/markup_fraction"),
        0.03,
        "ask for plain text in the prompt, or gate by a reward of your own over `markup_fraction`",
        as_text=_percent,
    ),
    Sign(
        "count claims",
        "the share of texts that tell their own length",
        _log("text/count_claim_fraction"),
        0.1,
        "gate by a reward of your own over `has_count_claim`",
        as_text=_percent,
    ),
    Sign(
        "blank lines",
        "the share of blank lines",
        _log("text/blank_line_fraction"),
        0.15,
        "count in words, not in characters or lines",
        as_text=_percent,
    ),
    Sign(
        "odd words",
        "the mean number of characters in a word",
        _log("text/mean_word_length"),
        0.7,
        "the unit is gamed by chains or scraps of words: raise trainer.beta, or count in tokens",
        way=0,
    ),
    Sign(
        "thinking shifted",
        "the share of words inside reasoning",
        _thinking,
        0.2,
        "text moves between reasoning and answer: let the length reward count both",
        way=0,
        as_text=_percent,
    ),
    Sign(
        "early stop on hard prompts",
        "the length of wrong answers over that of right ones",
        _WRONG_TO_CORRECT,
        0.2,
        "pay brevity for right answers only (`alp`, `dler`, or `accuracy` as a gate)",
        way=-1,
        guard=_is_short,
    ),
    Sign(
        "reward without answers",
        "the share of right answers",
        _log("answers/correct_fraction"),
        0.05,
        "the reward no longer follows the answers: add `accuracy`, or stop at an earlier checkpoint",
        way=-1,
        as_text=_percent,
    ),
)
"""What is watched for."""


class HackingSigns:
    """Follows a run step by step; each cause is found once."""

    def __init__(self) -> None:
        self._early: list[Numbers] = []
        self._late: deque[Numbers] = deque(maxlen=WINDOW)
        self._told: set[str] = set()

    def look(self, step: int, logs: Mapping[str, Any]) -> list[Finding]:
        """Take in the log of a training step; the signs that it is the first to show. What is no finite number is
        passed over, and so is a log without `reward`."""
        numbers = {k: float(v) for k, v in logs.items() if isinstance(v, int | float) and math.isfinite(v)}
        if "reward" not in numbers:
            return []
        if len(self._early) < WINDOW:
            self._early.append(numbers)
            return []
        self._late.append(numbers)
        if len(self._late) < WINDOW or not self._reward_rose():
            return []
        found = [finding for sign in SIGNS if sign.cause not in self._told and (finding := self._find(step, sign))]
        self._told |= {finding.cause for finding in found}
        return found

    def _reward_rose(self) -> bool:
        early, late = (_values(_log("reward"), window) for window in (self._early, self._late))
        change = fmean(late) - fmean(early)
        return change > 0 and change >= _REWARD_SURE * _standard_error(early, late)

    def _find(self, step: int, sign: Sign) -> Finding | None:
        early, late = (_values(sign.measure, window) for window in (self._early, self._late))
        if min(len(early), len(late)) < _KNOWN:
            return None
        start, end = fmean(early), fmean(late)
        size = abs(end - start) if sign.way == 0 else sign.way * (end - start)
        if size < max(sign.margin, _SURE * _standard_error(early, late)) or not sign.guard(end - start, self._late):
            return None
        went = "rose" if end > start else "fell"
        what = f"the reward rose while {sign.says} {went} from {sign.as_text(start)} to {sign.as_text(end)}"
        return Finding(step, sign.cause, what, sign.remedy)


def find_hacking(records: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The findings of a whole run, from the records of its `metrics.jsonl`."""
    signs = HackingSigns()
    train = (record for record in records if record.get("split") == "train")
    return [finding for record in train for finding in signs.look(int(record.get("step", 0)), record)]


def _values(measure: Callable[[Numbers], float | None], steps: Iterable[Numbers]) -> list[float]:
    return [value for step in steps if (value := measure(step)) is not None]


def _mean(values: Sequence[float]) -> float:
    """NaN without values: no bound holds for it."""
    return fmean(values) if values else math.nan


def _standard_error(early: Sequence[float], late: Sequence[float]) -> float:
    """Of the difference of means (Welch's)."""
    return math.sqrt(_variance(early) / len(early) + _variance(late) / len(late))


def _variance(values: Sequence[float]) -> float:
    """With Bessel's correction; that of `statistics` is exact, and a hundred times as slow."""
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
