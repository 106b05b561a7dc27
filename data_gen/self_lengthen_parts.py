"""Where a text may be parted: behind paragraphs, else lines, else sentences. Pure; the parts keep their own white space
between them, so that no joining changes a text."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from lengthctl.prompts import stable_hash
from lengthctl.sentences import sentence_ends
from lengthctl.writing_system import writing_system

__all__ = ["Opening", "first_half", "opening_of", "part_ends", "thin"]

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_LINES = re.compile(r"\n\s*")
_LONGEST_SENTENCES = 200_000
"""Characters of a text without a line break that are parted."""


def part_ends(text: str, paragraphs: int = 2) -> list[int]:
    """Offsets behind its parts, rising; the last is the end of its words. Empty for a text of white space.

    Args:
        text: any.
        paragraphs: parts between blank lines that suffice, at least 2; with fewer, lines are the parts, and in a
            text of one line the sentences.
    """
    end = len(text.rstrip())
    if not end:
        return []
    start = len(text) - len(text.lstrip())
    for breaks, least in ((_BLANK_LINES, paragraphs), (_LINES, 2)):
        ends = [found.start() for found in breaks.finditer(text, start, end)]
        if len(ends) + 1 >= least:
            return [*ends, end]
    ends = [place for place in sentence_ends(text[: min(end, _LONGEST_SENTENCES)]) if place < end]
    return [*ends, end]


def first_half(text: str) -> str:
    """The first half of its parts, rounded down: what is extended by itself. Empty where there is one part alone.

    Self-Lengthen parts at blank lines where that gives three parts or more, else at line breaks; sentences are ours.
    """
    ends = part_ends(text, paragraphs=3)
    return text[: ends[len(ends) // 2 - 1]].strip() if len(ends) > 1 else ""


@dataclass(frozen=True)
class Opening:
    """The first words of an answer, given; `text` is empty where nothing is given."""

    text: str
    is_paragraph: bool = False
    """What follows begins a paragraph; else a sentence."""

    @property
    def prefill(self) -> str:
        """As the model is shown it. Behind a sentence without a blank, which belongs to the next word's token."""
        return f"{self.text}\n\n" if self.is_paragraph else self.text

    def joined(self, answer: str) -> str:
        """The whole text, with what the model wrote behind `prefill`."""
        words = answer.strip()
        if not self.text or not words:
            return self.text or words
        white = answer[: len(answer) - len(answer.lstrip())]
        if self.is_paragraph or "\n" in white:
            return f"{self.text}\n\n{words}"
        system = writing_system(words)
        return f"{self.text}{'' if system is not None and system.has_ideographs else ' '}{words}"


def opening_of(text: str) -> Opening:
    """The first two thirds of a text's parts, rounded down: what an answer is begun with. Nothing of one part alone."""
    ends = part_ends(text)
    kept = 2 * len(ends) // 3
    if not kept:
        return Opening("")
    place = ends[kept - 1]
    return Opening(text[:place].strip(), "\n" in text[place : ends[kept]][:1])


def thin(text: str, *, keep: float = 0.8, seed: int = 0, key: str = "") -> str:
    """The text with some of its lines left out, each kept by a draw of its own; of a text of one line, sentences.

    Blank lines go with the line behind them. At least the first part stays, so that there is something to extend.

    Args:
        text: any.
        keep: probability of a line, in (0, 1]; Self-Lengthen's is 0.8.
        seed: of the draws.
        key: names the text; equal texts of other names are thinned otherwise.

    Raises:
        ValueError: `keep` out of its range.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep lies between 0 and 1, found {keep}")
    rng = random.Random(stable_hash(f"{seed}|thin|{key}"))
    start, parts = 0, []
    for end in part_ends(text, paragraphs=len(text) + 2):  # never by blank lines alone: lines are what is drawn
        parts.append(text[start:end])
        start = end
    kept = [part for part in parts if rng.random() < keep]
    return "".join(kept or parts[:1]).strip()
