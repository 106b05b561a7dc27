"""Verdicts on pairs of known truth, written by a program: a cold start for a judge that is too small to write critiques
of its own. Ours.

A critique counts aloud. A small model that is shown bare counts learns their form and guesses the numbers: trained so
on 960 verdicts, the bundled one named the better text in 50 % of pairs. What it can do is copy, and see what it has
just copied. So every fact is noted while the text is copied, at the word that shows it, and a count is the number that
was noted last: nothing has to be known before it can be seen. Both counts then stand side by side, right before the
judgement: with one of them behind two sentences, a model that counted well named the better text in 53 %.
"""

from __future__ import annotations

from itertools import accumulate
from random import Random

from lengthctl.data_gen.known_truth import KnownPair, Truth, sentences, whole_word
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
_CONCLUSIONS = {
    Truth.LENGTH: "A is {a} off, B is {b} off: {best} is closer.",
    Truth.REPETITION: "A has {a}, B has {b}: {best} has fewer.",
    Truth.KEYWORD: "A has {a}, B has {b}: {best} has it.",
}
_EVERY = 5
"""Words between two numbers."""
_HIGH = (7.0, 7.5, 8.0, 8.5, 9.0, 9.5)
_LOW = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)


def compose_verdict(pair: KnownPair, *, better_first: bool, rng: Random) -> str:
    """Principles, a critique that states what was counted in either answer, and two scores, in the judge's form.

    Args:
        pair: of known truth.
        better_first: the better text stands as answer a.
        rng: draws wording and scores.
    """
    shown = (pair.better, pair.worse) if better_first else (pair.worse, pair.better)
    (copied_a, a), (copied_b, b) = (_counted(pair, text) for text in shown)
    best = "A" if better_first else "B"
    principle = rng.choice(_PRINCIPLES[pair.truth]).replace("{wanted}", pair.wanted)
    conclusion = _CONCLUSIONS[pair.truth].format(a=a, b=b, best=best)
    scores = PairScores(rng.choice(_HIGH), rng.choice(_LOW))
    line = verdict_line(scores if better_first else scores.swapped)
    return f"Principles: {principle}\nCritique: A: {copied_a} B: {copied_b} {conclusion}\n{line}"


def _counted(pair: KnownPair, text: str) -> tuple[str, int]:
    """The text, copied with notes and what they come to; and the number by which it is judged."""
    match pair.truth:
        case Truth.LENGTH:
            n, wanted = pair.measure(text), int(pair.wanted)
            off = "right" if n == wanted else f"{abs(n - wanted)} too {'many' if n > wanted else 'few'}"
            return f"{_numbered(text)} = {n} of {wanted}, {off}.", abs(n - wanted)
        case Truth.REPETITION:
            noted, again = _repeated(text)
            return f"{noted} = {again} again.", again
        case Truth.KEYWORD:
            noted, found = _noted(text, pair.wanted)
            return f"{noted} = {found} found.", found


def _numbered(text: str) -> str:
    """The text on one line, with the number of words so far behind every fifth, and behind each of the last ones."""
    pieces = text.split()
    counts = list(accumulate(map(count_length, pieces)))
    last = counts[-1] - counts[-1] % _EVERY
    shown: list[str] = []
    told = 0
    for piece, n in zip(pieces, counts, strict=True):
        shown.append(piece)
        if n >= told + _EVERY or (n > last and n > told):
            told = n if n > last else n - n % _EVERY
            shown.append(f"({n})")
    return " ".join(shown)


def _repeated(text: str) -> tuple[str, int]:
    """The sentences of the text, with a note behind each that stood there before, and how many did."""
    seen: set[str] = set()
    shown, again = [], 0
    for sentence in sentences(text):
        shown.append(sentence)
        if sentence.casefold() in seen:
            shown.append("(again)")
            again += 1
        seen.add(sentence.casefold())
    return " ".join(shown), again


def _noted(text: str, word: str) -> tuple[str, int]:
    """The text on one line, with a note behind the word wherever it stands, and how often it does."""
    return whole_word(word).subn(r"\g<0> (found)", " ".join(text.split()))
