"""Pairs of texts of which one is better by a count: closer to the wanted length, without repeated sentences, or with
the wanted word. Cut from any texts, so that a judge can be trained and tested where the truth is known. Ours.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from random import Random

from lengthctl.data_gen.filters import asks_for_length
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.length import Target, count_length
from lengthctl.prompts import WORDINGS, word_length
from lengthctl.sentences import sentence_ends

__all__ = ["KnownPair", "PairMaker", "Truth", "make_pair", "sentences", "whole_word"]

_LONGEST = 20_000
"""Characters of a text that are looked at."""
_LONGEST_REQUEST = 300
"""Characters of a request: the judge reads it, too."""
_TRIES = 12
_LEAST_WORDS = 4
_APART = 1.3
"""Least ratio of the two lengths."""
_KEYWORD = re.compile(r"(?<![\w'-])[a-z]{5,12}(?![\w'-])")


class Truth(StrEnum):
    """What makes one text the better one."""

    LENGTH = "length"
    REPETITION = "repetition"
    KEYWORD = "keyword"


@dataclass(frozen=True)
class KnownPair:
    """A request, a better and a worse text, and what was counted."""

    id: str
    truth: Truth
    request: str
    better: str
    worse: str
    wanted: str = ""
    """The length in words, or the word; empty for repetitions."""
    source: str = ""
    licence: str | None = None

    def measure(self, text: str) -> int:
        """Words; occurrences of the most frequent sentence; occurrences of the wanted word."""
        match self.truth:
            case Truth.LENGTH:
                return count_length(text)
            case Truth.REPETITION:
                return max(Counter(s.casefold() for s in sentences(text)).values(), default=0)
            case Truth.KEYWORD:
                return len(whole_word(self.wanted).findall(text))

    @property
    def longer_is_better(self) -> bool:
        """In words."""
        return count_length(self.better) > count_length(self.worse)


def whole_word(word: str) -> re.Pattern[str]:
    """The word wherever it stands by itself, in any case."""
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """Whole sentences of a text's first 20,000 characters, on one line each; a rest without an end is left out."""
    text = text[:_LONGEST]
    return [" ".join(text[start:end].split()) for start, end in pairwise([0, *sentence_ends(text)])]


def make_pair(
    truth: Truth, row: Instruction, *, longer_is_better: bool, max_words: int, rng: Random
) -> KnownPair | None:
    """A pair cut from a row's completion, lengths a third apart or more; None where it does not give one.

    Args:
        truth: the kind.
        row: its last message is the request.
        longer_is_better: which of the two is to be the better one.
        max_words: of either text.
        rng: draws the cut.
    """
    request = " ".join(row.messages[-1]["content"].split())
    parts = sentences(row.completion)
    if not request or len(request) > _LONGEST_REQUEST or asks_for_length(request) or len(parts) < 2:
        return None
    makers: dict[Truth, Callable[[str, list[str], bool, Random], tuple[str, str, str, str] | None]] = {
        Truth.LENGTH: _by_length,
        Truth.REPETITION: _by_repetition,
        Truth.KEYWORD: _by_keyword,
    }
    for _ in range(_TRIES):
        found = makers[truth](request, parts, longer_is_better, rng)
        if found is None:
            continue
        asked, better, worse, wanted = found
        long, short = (better, worse) if longer_is_better else (worse, better)
        most, least = count_length(long), count_length(short)
        if least >= _LEAST_WORDS and _APART * least <= most <= max_words:
            name = hashlib.sha256("|".join((truth, asked, better, worse)).encode()).hexdigest()[:16]
            return KnownPair(name, truth, asked, better, worse, wanted, row.source, row.licence)
    return None


def _by_length(request: str, parts: list[str], longer: bool, rng: Random) -> tuple[str, str, str, str] | None:
    """Two openings, and a wanted length near one of them."""
    few, many = sorted(rng.sample(range(1, min(len(parts), 8) + 1), 2))
    short, long = " ".join(parts[:few]), " ".join(parts[:many])
    better, worse = (long, short) if longer else (short, long)
    wanted = max(1, round(count_length(better) * rng.uniform(0.9, 1.1)))
    near, far = abs(count_length(better) - wanted), abs(count_length(worse) - wanted)
    if far < 2 * near + 3:
        return None
    messages = word_length([{"role": "user", "content": request}], Target(wanted), rng.choice(WORDINGS))
    return messages[-1]["content"], better, worse, str(wanted)


def _by_repetition(request: str, parts: list[str], longer: bool, rng: Random) -> tuple[str, str, str, str] | None:
    """An opening, and one with a sentence of its own again and again."""
    clean = parts[: rng.randint(1, min(len(parts), 6))]
    other = parts[: rng.randint(1, min(len(parts), 3))]
    if len({s.casefold() for s in parts[:6]}) < len(parts[:6]):
        return None
    again = rng.choice(other)
    worse = [*other, *[again] * rng.randint(1, 2 if longer else 4)]
    return request, " ".join(clean), " ".join(worse), ""


def _by_keyword(request: str, parts: list[str], longer: bool, rng: Random) -> tuple[str, str, str, str] | None:
    """Two stretches, and a word that only one of them has."""
    starts = [rng.randrange(min(len(parts), 10)) for _ in range(2)]
    better, worse = (" ".join(parts[start : start + rng.randint(1, 3)]) for start in starts)
    words = sorted(set(_KEYWORD.findall(better)) - set(re.findall(r"\w+", f"{worse} {request}".casefold())))
    if not words:
        return None
    word = rng.choice(words)
    asked = rng.choice(('{r} Use the word "{w}".', '{r} The word "{w}" must occur.', 'Write with the word "{w}": {r}'))
    return re.sub(r"\{(\w)\}", lambda found: request if found[1] == "r" else word, asked), better, worse, word


class PairMaker:
    """Pairs in rounds, one of each class: truth, and whether the longer text is better. So the longer one is better in
    exactly half of the pairs of every truth.

    Args:
        truths: at least one.
        max_words: of a text.
        seed: of every cut.
        per_text: pairs from one text at most.
    """

    def __init__(self, truths: Sequence[Truth], *, max_words: int = 60, seed: int = 0, per_text: int = 4) -> None:
        self._classes = [(truth, longer) for truth in truths for longer in (True, False)]
        self._max_words, self._seed, self._per_text = max_words, seed, per_text
        self._round: list[KnownPair] = []
        self._seen: set[str] = set()

    @property
    def round_size(self) -> int:
        """Pairs of a round."""
        return len(self._classes)

    def add(self, row: Instruction) -> list[KnownPair] | None:
        """The round that the row completes, else an empty list; None where the row gives no pair."""
        rng = Random(f"{self._seed}|{row.digest}")
        done: list[KnownPair] = []
        made = 0
        for _ in range(self._per_text):
            truth, longer = self._classes[len(self._round)]
            pair = make_pair(truth, row, longer_is_better=longer, max_words=self._max_words, rng=rng)
            if pair is None or pair.id in self._seen:
                break
            made += 1
            self._seen.add(pair.id)
            self._round.append(pair)
            if len(self._round) == len(self._classes):
                done, self._round = done + self._round, []
        return done if made else None
