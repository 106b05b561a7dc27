"""Instructions that a model proposes from examples, and judges itself: Self-Lengthen's first step (arXiv 2410.23933).

Unlike the released code (ours): the judge's answer is read leniently, near duplicates and prompts of an evaluation are
left out, and every draw is seeded.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.near_duplicates import NearDuplicates
from lengthctl.data_gen.self_lengthen import words_of
from lengthctl.data_gen.self_lengthen_prompts import long_enough_messages, proposal_messages, proposal_prefill
from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Call, Flow, FlowFailedError, Setback
from lengthctl.prompts import stable_hash
from lengthctl.reasoning import without_reasoning
from lengthctl.records import FinishReason
from lengthctl.writing_system import wording_language

__all__ = ["InstructionPool", "draw_examples", "propose_instruction", "read_proposal", "read_verdict"]

_EXAMPLES = 2
_FEWEST_WORDS, _MOST_WORDS = 4, 499
_PROPOSAL_TOKENS, _VERDICT_TOKENS = 320, 12
_READ = 8000
"""Characters of a proposal that are read."""
_NAME = r"(?:(?:writing[ ])?task|instruction|\u4efb\u52a1)"
_NEXT = re.compile(rf"(?:^|\n)[\s*#]{{0,4}}{_NAME}\s{{0,2}}[\d\u4e00-\u5341]", re.IGNORECASE)
_LABEL = re.compile(rf"\s*[*#]{{0,3}}\s*{_NAME}\s{{0,2}}\d{{0,3}}\*{{0,2}}[:\uff1a]\*{{0,2}}\s*", re.IGNORECASE)
_VERDICT = re.compile(r"\b(?:yes|no)\b|[\u662f\u5426\u4e0d]", re.IGNORECASE)
_VERDICT_CHARACTERS = 60
_QUOTES = "\"'\u201c\u201d\u2018\u2019\u300c\u300d*_ \t\n"


class InstructionPool:
    """Instructions that are unlike each other, and no prompts of an evaluation.

    Args:
        seeds: given ones, which are there in any case.
        near: similarity of word 5-grams from which on two are one.
        contamination: knows the prompts that are left out.
    """

    def __init__(self, seeds: Sequence[str], *, near: float = 0.7, contamination: Contamination | None = None) -> None:
        self._seen = NearDuplicates(threshold=near)
        self._contamination = contamination
        for seed in seeds:
            self._seen.seen(seed)

    def add(self, text: str) -> DropReason | None:
        """Take a new one in; why not, where it is none."""
        if self._contamination is not None and self._contamination.hit(text):
            return DropReason.CONTAMINATED
        return self._seen.seen(text)


def draw_examples(texts: Sequence[str], *, seed: int, name: str) -> list[str]:
    """Two of the texts, in one language, by the seed and the name of what they are drawn for; fewer where there are.

    Raises:
        ValueError: no text.
    """
    if not texts:
        raise ValueError("examples are drawn from at least one instruction")
    rng = random.Random(stable_hash(f"{seed}|examples|{name}"))
    first = rng.choice(texts)
    language = wording_language(first)
    others = [text for text in texts if text != first and wording_language(text) == language]
    return [first, *rng.sample(others, min(_EXAMPLES - 1, len(others)))]


def propose_instruction(examples: Callable[[int], Sequence[str]], settings: SelfLengthenSettings) -> Flow[str]:
    """A new instruction that the model itself holds to call for a long text.

    Args:
        examples: those that an attempt shows, by its number.
        settings: how many attempts, and what is long.

    Raises:
        FlowFailedError: EMPTY when no attempt gave an instruction, NO_GROWTH when none calls for a long text.
    """
    found = False
    for attempt in range(settings.proposals):
        shown = examples(attempt)
        asked, begun = proposal_messages(shown), proposal_prefill(shown)
        answers = yield [Call(f"propose/{attempt}", asked, _PROPOSAL_TOKENS, prefill=begun)]
        raise_for_error(answers)
        text = read_proposal(answers[0].text, answers[0].finish)
        if text is None:
            continue
        found = True
        question = long_enough_messages(text, settings.long_words)
        answers = yield [Call(f"judge/{attempt}", question, _VERDICT_TOKENS, temperature=0.0)]
        raise_for_error(answers)
        if read_verdict(answers[0].text):
            return text
    raise FlowFailedError(Setback.NO_GROWTH if found else Setback.EMPTY, f"{settings.proposals} proposals")


def read_proposal(answer: str, finish: FinishReason = FinishReason.EOS) -> str | None:
    """The instruction in an answer: without label and quotes, up to the next one; None for none of 4 to 499 words.

    Of an answer that was cut, what stands before the last blank line.
    """
    text = _LABEL.sub("", answer[:_READ], count=1) if _LABEL.match(answer[:_READ]) else answer[:_READ]
    following = _NEXT.search(text.lstrip())
    if following is not None:
        text = text.lstrip()[: following.start()]
    elif finish is not FinishReason.EOS:
        text = text.rpartition("\n\n")[0]
    text = text.strip(_QUOTES)
    return text if _FEWEST_WORDS <= words_of(text) <= _MOST_WORDS else None


def read_verdict(answer: str) -> bool:
    """The first yes or no (是, 否, 不) near the beginning is yes; an answer without either is no."""
    found = _VERDICT.search(without_reasoning(answer).lstrip()[:_VERDICT_CHARACTERS])
    return found is not None and found.group().lower() in ("yes", "\u662f")
