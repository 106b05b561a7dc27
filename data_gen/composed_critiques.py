"""Verdicts on pairs of known truth, written by a program from what it counted, in varied wording: a cold start for a
judge that is too small to write critiques of its own. Ours.
"""

from __future__ import annotations

from random import Random

from lengthctl.data_gen.known_truth import KnownPair, Truth
from lengthctl.judging_pairs import PairScores, verdict_line

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
_COUNTED = {
    Truth.LENGTH: (
        "Answer {name} has {n} words, {off} off.",
        "{name}: {n} words, so {off} away from {wanted}.",
        "I count {n} words in answer {name}; the difference is {off}.",
    ),
    Truth.REPETITION: (
        "In answer {name} a sentence occurs {n} {times}.",
        "{name}: the most frequent sentence comes {n} {times}.",
        "Answer {name} says one sentence {n} {times}.",
    ),
    Truth.KEYWORD: (
        'Answer {name} has "{wanted}" {n} {times}.',
        '{name}: "{wanted}" occurs {n} {times}.',
        'In answer {name} I find "{wanted}" {n} {times}.',
    ),
}
_CONCLUSIONS = ("So answer {best} is better.", "{best} serves the request better.", "That speaks for answer {best}.")
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
    form = rng.choice(_COUNTED[pair.truth])
    counted = " ".join(_counted(pair, form, name, text) for name, text in zip("AB", shown, strict=True))
    best = "A" if better_first else "B"
    principle = rng.choice(_PRINCIPLES[pair.truth]).replace("{wanted}", pair.wanted)
    conclusion = rng.choice(_CONCLUSIONS).replace("{best}", best)
    scores = PairScores(rng.choice(_HIGH), rng.choice(_LOW))
    line = verdict_line(scores if better_first else scores.swapped)
    return f"Principles: {principle}\nCritique: {counted} {conclusion}\n{line}"


def _counted(pair: KnownPair, form: str, name: str, text: str) -> str:
    n = pair.measure(text)
    parts = {"name": name, "n": str(n), "times": "time" if n == 1 else "times", "wanted": pair.wanted}
    if pair.truth is Truth.LENGTH:
        parts["off"] = str(abs(n - int(pair.wanted)))
    for key, value in parts.items():
        form = form.replace(f"{{{key}}}", value)
    return form
