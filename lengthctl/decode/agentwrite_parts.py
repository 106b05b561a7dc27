"""A part of a long text as a model wrote it: cleaned of what belongs to the plan, and checked against what stands.

That labels are taken out is of LongWriter (arXiv 2408.07055); the rest is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from lengthctl.decode.flow import Setback
from lengthctl.degeneration import has_count_claim
from lengthctl.judging import is_refusal
from lengthctl.normal_text import normal_form, normal_words, word_grams
from lengthctl.reasoning import without_reasoning
from lengthctl.sentences import sentence_ends

__all__ = ["Written", "clean_part", "cut_at_sentence", "without_repeats"]

_LABEL = re.compile(
    r"[#*_\s\[(\u3010<]{0,8}(?:(?:paragraph|section|step|absatz|abschnitt|paragraphe|párrafo|parágrafo|paragrafo|абзац)"
    r"[ \t]{0,3}\d{1,3}|(?:段落|단락|문단)[ \t]{0,3}\d{1,3}|第[ \t]?(?:\d{1,3}|[一二三四五六七八九十]{1,4})[ \t]?段落?)"
    r"(?:[ \t]?(?:of|/)[ \t]?\d{1,3})?[*_ \t]{0,6}(?:[-\u2013\u2014:\uff1a.|\])\u3011>]{1,3}[*_ \t]{0,6}|$)",
    re.IGNORECASE,
)
_PLAN_WORDS = re.compile(r"main point[ \t]{0,2}[:：]|word count[ \t]{0,2}[:：]|主要内容[：:]|字数[：:]", re.IGNORECASE)
_MARKS = "#*-_ \t"
_LONGEST_CLAIM = 80
_LINE_CHARS = 2000
_ECHO_SENTENCES = 5
_LONG_SENTENCE = 15
"""Letters and digits from which on a sentence that stands twice is a repeat."""
_GRAM, _SHARED = 8, 0.3
"""A part with more than this share of its 8-grams in one earlier part repeats that one."""
_OWN_GRAM, _LEAST_GRAMS = 4, 30


@dataclass
class Written:
    """What stands of a document: its parts, and what is needed to tell whether a new one repeats them."""

    parts: list[str] = field(default_factory=list)
    forms: set[str] = field(default_factory=set)
    """Of each part, without case, punctuation and layout."""
    grams: list[frozenset[str]] = field(default_factory=list)
    sentences: set[str] = field(default_factory=set)
    """Forms of the long ones."""

    @property
    def text(self) -> str:
        """The parts, with blank lines between."""
        return "\n\n".join(self.parts)

    def add(self, part: str) -> None:
        """A part that is kept."""
        self.parts.append(part)
        self.forms.add(normal_form(part))
        self.grams.append(frozenset(word_grams(normal_words(part), _GRAM)))
        self.sentences.update(form for _, form in _sentences(part) if len(form) >= _LONG_SENTENCE)

    def fault(self, part: str, *, is_cut: bool = False) -> Setback | None:
        """Why a part, cleaned, is not sound; None where it is.

        Args:
            part: its text.
            is_cut: the limit ended it.
        """
        if not any(map(str.isalnum, part)):
            return Setback.EMPTY
        if is_refusal(part):
            return Setback.REFUSED
        if self._repeats(part):
            return Setback.REPETITIVE
        return Setback.UNFINISHED if is_cut and not sentence_ends(part) else None

    def _repeats(self, part: str) -> bool:
        """Itself or an earlier part."""
        words = normal_words(part)
        own = list(word_grams(words, _OWN_GRAM))
        if len(own) >= _LEAST_GRAMS and 1 - len(set(own)) / len(own) > _SHARED:
            return True
        grams = frozenset(word_grams(words, _GRAM))
        shared = max((len(grams & earlier) for earlier in self.grams), default=0)
        return normal_form(part) in self.forms or shared > _SHARED * len(grams)


def clean_part(text: str, point: str, before: str = "") -> str:
    """A part without what is not part of the text: thought, labels ("Paragraph 3:"), the plan's line, a count at the
    end, sentences that end the text before it said once more, and the lines of later steps with what follows them.

    Args:
        text: what the model wrote.
        point: the step's main point.
        before: what stands before it.
    """
    lines = without_reasoning(text).replace("\r\n", "\n").strip().split("\n")
    lines = _without_head(lines, normal_form(point))
    end = next((n for n, line in enumerate(lines) if n and _is_plan_line(line)), len(lines))
    lines = lines[:end]
    while lines and (not lines[-1].strip() or _is_claim(lines[-1])):
        lines.pop()
    return _without_echo("\n".join(lines).strip(), before)


def _without_head(lines: list[str], point: str) -> list[str]:
    """Without labels and the plan's line, in any order, at the start; a last line only loses its label."""
    for number, line in enumerate(lines):
        label = _LABEL.match(line)
        rest = line[label.end() :] if label else line
        form = normal_form(rest[:_LINE_CHARS])
        is_last = number + 1 == len(lines)
        if not form or _is_plan_line(line) or (form == point and not is_last):
            continue
        if label or is_last:
            return [rest, *lines[number + 1 :]]
        return lines[number:]
    return []


def _is_plan_line(line: str) -> bool:
    """A line of the plan, or one of its halves."""
    start = line[:_LINE_CHARS].lstrip(_MARKS)
    label = _LABEL.match(start)
    return _PLAN_WORDS.match(start) is not None or (label is not None and _PLAN_WORDS.search(start) is not None)


def _is_claim(line: str) -> bool:
    """A line that tells the length of the part."""
    short = line.strip()
    return len(short) <= _LONGEST_CLAIM and has_count_claim(short) and not sentence_ends(short[:-1])


def _sentences(text: str) -> list[tuple[str, str]]:
    """Each sentence with the white space before it, and its form; the last may have no end."""
    edges = [0, *sentence_ends(text)]
    if edges[-1] < len(text):
        edges.append(len(text))
    return [(text[start:end], normal_form(text[start:end])) for start, end in pairwise(edges)]


def _without_echo(part: str, before: str) -> str:
    """Without first sentences that are among the last ones before."""
    last = {
        form for _, form in _sentences(before[-4 * _LINE_CHARS :])[-_ECHO_SENTENCES:] if len(form) >= _LONG_SENTENCE
    }
    sentences = _sentences(part) if last else []
    echoed = 0
    while echoed < len(sentences) and sentences[echoed][1] in last:
        echoed += 1
    return "".join(sentence for sentence, _ in sentences[echoed:]).strip() if echoed else part


def without_repeats(part: str, written: Written) -> str:
    """The part without long sentences that stand in an earlier one, or before in itself; paragraphs stay apart."""
    seen = set(written.sentences)
    kept: list[str] = []
    gap = ""
    for sentence, form in _sentences(part):
        space = sentence[: len(sentence) - len(sentence.lstrip())]
        if len(form) >= _LONG_SENTENCE and form in seen:
            gap = gap or (space if "\n" in space else "")
            continue
        seen.add(form)
        kept.append(f"{gap}{sentence.lstrip()}" if gap and "\n" not in space else sentence)
        gap = ""
    return "".join(kept).strip()


def cut_at_sentence(part: str, lengths: Iterable[tuple[int, int]], wanted: int) -> str:
    """The part up to the whole sentence whose end is nearest to the wanted length; as it is where no sentence ends.

    Args:
        part: that the limit ended.
        lengths: `(offset, length up to there)` of its sentence ends.
        wanted: in the same unit.
    """
    best = min(lengths, key=lambda found: abs(found[1] - wanted), default=None)
    return part if best is None else part[: best[0]]
