"""A backend that does what AgentWrite asks to the word: plans that add up, parts of exactly the length, drawn from
syllables, so that nothing comes twice. What a text lacks in the end was not lost by the writer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request, answer_in_turn

__all__ = ["PerfectWriter"]

_TOTAL = re.compile(r"(?:about|合计约) ?(\d+) ?(?:words|characters|字)")
_PARTS = re.compile(r"(\d+) ?(?:paragraphs|段)")
_LENGTH = re.compile(r"(?:It has about|, about|篇幅约|，约) ?(\d+) ?(?:words?|characters?|字)")
_PLAN_MARKS = ("Main Point: (", "the lines would be", "主要内容：（", "就这样写")
_LINES = {
    True: "段落{} - 主要内容：第{}个主题 - 字数：{}字",
    False: "Paragraph {} - Main Point: Matter {} - Word Count: {} words",
}
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
_SENTENCE_WORDS, _SENTENCE_CHARACTERS = 8, 14


class PerfectWriter:
    """See the module.

    Args:
        spoil: changes an answer, by the request and what would be perfect; for writers with one fault.
    """

    abilities = frozenset({Ability.PREFILL})

    def __init__(self, spoil: Callable[[Request, str], str | None] | None = None) -> None:
        self._spoil = spoil
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        return answer_in_turn(requests, self._answer, on_completion)

    def _answer(self, request: Request) -> Completion:
        self.requests.append(request)
        text = self._perfect(request)
        spoilt = None if self._spoil is None else self._spoil(request, text)
        text = text if spoilt is None else spoilt
        return Completion(request.id, text, tuple(range(len(text.split()))), (), FinishReason.EOS, engine="perfect")

    def _perfect(self, request: Request) -> str:
        message = request.messages[-1]["content"]
        is_chinese = "段落" in message or "请写" in message
        if any(mark in message for mark in _PLAN_MARKS):
            return self._plan(message, is_chinese).removeprefix(request.prefill)
        found = _LENGTH.search(message) or re.search(r"(\d+)", message)
        assert found is not None, message
        # they hang on the request alone: the same call gives the same text in every run
        rng = random.Random(f"{request.id}|{message}")
        return (_chinese if is_chinese else _english)(int(found[1]), rng)

    @staticmethod
    def _plan(message: str, is_chinese: bool) -> str:
        total, parts = _TOTAL.search(message), _PARTS.search(message)
        assert total is not None, message
        words, n = int(total[1]), int(parts[1]) if parts else 1
        ends = [words * k // n for k in range(n + 1)]
        return "\n".join(_LINES[is_chinese].format(k + 1, k + 1, ends[k + 1] - ends[k]) for k in range(n))

    def close(self) -> None:
        """Nothing to release."""


def _english(words: int, rng: random.Random) -> str:
    """So many words in whole sentences, the last one of which may be short."""
    drawn = ["".join(rng.choices(_SYLLABLES, k=3)) for _ in range(words)]
    sentences = (drawn[at : at + _SENTENCE_WORDS] for at in range(0, words, _SENTENCE_WORDS))
    return " ".join(" ".join(sentence).capitalize() + "." for sentence in sentences)


def _chinese(characters: int, rng: random.Random) -> str:
    """So many ideographs; the marks between them not counted."""
    drawn = "".join(chr(0x4E00 + rng.randrange(5000)) for _ in range(characters))
    sentences = (drawn[at : at + _SENTENCE_CHARACTERS] for at in range(0, characters, _SENTENCE_CHARACTERS))
    return "".join(f"{sentence}。" for sentence in sentences)
