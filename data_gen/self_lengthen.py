"""Self-Lengthen (arXiv 2410.23933): a first response to an instruction, and the same text extended, each as a flow.

An extension takes two calls, as in the paper: asked for a whole text at once, a model keeps its habitual length. So the
first half of the text is extended by itself, and its first two thirds begin the answer that extends the whole: what
follows keeps the level of detail that they set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lengthctl.data_gen.self_lengthen_parts import Opening, first_half, opening_of
from lengthctl.data_gen.self_lengthen_prompts import extend_messages
from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings
from lengthctl.data_gen.written_checks import Flaw, WrittenRules, check_response
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.length import Unit, count_length
from lengthctl.reasoning import without_reasoning
from lengthctl.records import FinishReason
from lengthctl.sentences import sentence_ends

__all__ = ["Extension", "extension", "first_response", "grew", "settle", "words_of"]

_SETBACKS = {
    Flaw.EMPTY: Setback.EMPTY,
    Flaw.META: Setback.LEFTOVERS,
    Flaw.END: Setback.UNFINISHED,
    Flaw.REPEAT: Setback.REPETITIVE,
}


def words_of(text: str) -> int:
    """Words of a text in any language: `Unit.WORDS_MIXED`."""
    return count_length(text, Unit.WORDS_MIXED)


def grew(old: int, new: int, factor: float = 1.2) -> bool:
    """`new` is more than `factor` times `old`; in whole numbers, so that 1200 is no growth from 1000 by 1.2."""
    ratio = Fraction(str(factor))
    return ratio.denominator * new > ratio.numerator * old


def settle(text: str, finish: FinishReason, rules: WrittenRules) -> tuple[str, Flaw | None]:
    """A text as it is used, and its flaw. What was cut by the limit is unfinished, or, where no end is asked for, used
    up to its last whole sentence. Reasoning in front of it is left out."""
    text = without_reasoning(text)
    if finish is not FinishReason.EOS:
        if rules.end_mark:
            return text, Flaw.END
        ends = sentence_ends(text)
        if not ends:
            return text, Flaw.END
        text = text[: ends[-1]]
    text = text.strip()
    return text, check_response(text, rules)


def first_response(instruction: str, settings: SelfLengthenSettings) -> Flow[str]:
    """The first answer to an instruction that passes the check.

    Raises:
        FlowFailedError: none of all attempts does; by their most frequent flaw.
    """
    flaws = Counter[Flaw]()
    messages = ({"role": "user", "content": instruction},)
    for attempt in range(settings.response_attempts):
        answers = yield [Call(f"first/{attempt}", messages, settings.max_tokens)]
        raise_for_error(answers)
        text, flaw = settle(answers[0].text, answers[0].finish, settings.check)
        if flaw is None:
            return text
        flaws[flaw] += 1
    raise _failed(flaws)


@dataclass(frozen=True)
class Extension:
    """A text that was lengthened."""

    text: str
    words: tuple[int, ...]
    """Of the first response, and of each text that was longer than the one before."""
    calls: int
    """Made for it, failed attempts counted."""


def extension(instruction: str, response: str, settings: SelfLengthenSettings) -> Flow[Extension]:
    """The response, extended by the wanted factor: several extensions on top of each other, from the response again
    where they do not suffice.

    Raises:
        FlowFailedError: no attempt is long enough; by the flaw of all that was written where all of it has one.
    """
    task = _Extending(instruction, settings)
    while True:
        best, words = response, [words_of(response)]
        for step in range(settings.extension_rounds):
            text = yield from task.extended(best, f"extend/{task.attempt}/{step}")
            if text is not None and words_of(text) > words[-1]:
                best = text
                words.append(words_of(text))
        if grew(words[0], words[-1], settings.growth):
            return Extension(best, tuple(words), task.calls)
        if task.is_spent:
            raise task.failure()
        task.attempt += 1


class _Extending:
    """One text's calls so far."""

    def __init__(self, instruction: str, settings: SelfLengthenSettings) -> None:
        self._instruction = instruction
        self._settings = settings
        self._flaws = Counter[Flaw]()
        self._written = 0
        self._did_not_fit = False
        self.attempt = 0
        self.calls = 0

    @property
    def is_spent(self) -> bool:
        """No further extension fits into the calls that are allowed."""
        return self.calls + 2 > self._settings.extension_calls

    def failure(self) -> FlowFailedError:
        """Why there is no text."""
        if not self._written and self._did_not_fit:
            return FlowFailedError(Setback.TOO_LONG)
        if self._written and self._written == self._flaws.total():
            return _failed(self._flaws)
        return FlowFailedError(Setback.NO_GROWTH, f"{self.calls} calls")

    def extended(self, text: str, name: str) -> Generator[Sequence[Call], Sequence[Answer], str | None]:
        """One extension of a text; None where it has a flaw, does not fit the context, or no call is left."""
        if self.is_spent:
            return None
        try:
            half = first_half(text)
            opening = Opening("")
            if half:  # a text of one sentence has no half: it is asked for whole
                opening = opening_of(without_reasoning((yield from self._asked(f"{name}/half", half)).text))
            answer = yield from self._asked(f"{name}/whole", text, opening.prefill)
        except FlowFailedError as error:
            if error.setback is not Setback.TOO_LONG:
                raise
            self._did_not_fit = True
            return None
        self._written += 1
        made, flaw = settle(opening.joined(answer.text), answer.finish, self._settings.check)
        if flaw is not None:
            self._flaws[flaw] += 1
            return None
        return made

    def _asked(self, name: str, text: str, prefill: str = "") -> Generator[Sequence[Call], Sequence[Answer], Answer]:
        self.calls += 1
        messages = extend_messages(self._instruction, text)
        answers = yield [Call(name, messages, self._settings.max_tokens, prefill=prefill)]
        raise_for_error(answers)
        return answers[0]


def _failed(flaws: Counter[Flaw]) -> FlowFailedError:
    flaw, _ = flaws.most_common(1)[0]
    told = ", ".join(f"{name} {count}" for name, count in flaws.most_common())
    return FlowFailedError(_SETBACKS[flaw], told)
