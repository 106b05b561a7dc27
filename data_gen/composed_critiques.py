"""Verdicts on pairs of known truth, written by a program: a cold start for a judge that is too small to write critiques
of its own. Ours.

A critique counts aloud. A small model that is shown bare counts learns their form and guesses the numbers: trained so
on 960 verdicts, the bundled one named the better text in 50 % of pairs. What it can do is copy, so every count is the
end of something that it copied.
"""

from __future__ import annotations

import re
from random import Random

from lengthctl.data_gen.known_truth import KnownPair, Truth, sentences
from lengthctl.judging_pairs import PairScores, verdict_line
from lengthctl.length import count_length

__all__ = ["compose_verdict"]

_PRINCIPLES = {
    Truth.LENGTH: (
        "The request names about {wanted} words. The answer that comes closer to {wanted} words is better.",
        "About {wanted} words are asked for, so the number of words decides, not how much is said.",
        "Length counts here: {wanted} words are wanted. Too short is as bad as too long.",
    ),
    Truth.REPETITION: (
        "A good answer says each thing once. Sentences that come again are padding.",
        "No sentence should be repeated: the answer with fewer repetitions is better.",
        "What is said twice adds nothing. I count how often the same sentence occurs.",
    ),
    Truth.KEYWORD: (
        'The request wants the word "{wanted}". An answer without it fails.',
        'The word "{wanted}" must be in the text, whatever else it says.',
        'I look for the word "{wanted}": it has to occur.',
    ),
}
_CONCLUSIONS = ("So answer {best} is better.", "{best} serves the request better.", "That speaks for answer {best}.")
_HIGH = (7.0, 7.5, 8.0, 8.5, 9.0, 9.5)
_EVERY = 5
_OPENING_WORDS = 3
_LOW = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)


def compose_verdict(pair: KnownPair, *, better_first: bool, rng: Random) -> str:
    """Principles, a critique that states what was counted in either answer, and two scores, in the judge's form.

    Args:
        pair: of known truth.
        better_first: the better text stands as answer a.
        rng: draws wording and scores.
    """
    shown = (pair.better, pair.worse) if better_first else (pair.worse, pair.better)
    counted = " ".join(_counted(pair, name, text) for name, text in zip("AB", shown, strict=True))
    best = "A" if better_first else "B"
    principle = rng.choice(_PRINCIPLES[pair.truth]).replace("{wanted}", pair.wanted)
    conclusion = rng.choice(_CONCLUSIONS).replace("{best}", best)
    scores = PairScores(rng.choice(_HIGH), rng.choice(_LOW))
    line = verdict_line(scores if better_first else scores.swapped)
    return f"Principles: {principle}\nCritique: {counted} {conclusion}\n{line}"


def _counted(pair: KnownPair, name: str, text: str) -> str:
    """What a judge reads off a text, and the count that it comes to."""
    n = pair.measure(text)
    times = "time" if n == 1 else "times"
    match pair.truth:
        case Truth.LENGTH:
            return f"{name}: {_numbered(text)} That is {n} words, {abs(n - int(pair.wanted))} off."
        case Truth.REPETITION:
            return f"{name} begins ({_openings(text)}), one of them {n} {times}."
        case Truth.KEYWORD:
            found = _around(text, pair.wanted)
            return f'{name}: no "{pair.wanted}".' if found is None else f'{name}: "{found}", {n} {times}.'


def _numbered(text: str) -> str:
    """The text on one line, with the number of words so far in brackets behind every fifth."""
    pieces = text.split()
    shown: list[str] = []
    told = 0
    for end, piece in enumerate(pieces, 1):
        shown.append(piece)
        n = count_length(" ".join(pieces[:end]))
        if n >= told + _EVERY:
            told = n - n % _EVERY
            shown.append(f"({n})")
    return " ".join(shown)


def _openings(text: str) -> str:
    """The first words of every sentence."""
    return " / ".join(" ".join(sentence.split()[:_OPENING_WORDS]) for sentence in sentences(text))


def _around(text: str, word: str) -> str | None:
    """The word where it first stands, with up to three words before it; None where it does not."""
    found = re.search(rf"(?:\S+\s+){{0,3}}\S*?(?<!\w){re.escape(word)}(?!\w)", " ".join(text.split()), re.IGNORECASE)
    return None if found is None else found.group()
