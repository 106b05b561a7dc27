"""What the judge of a run is asked: which of two texts is better, or how good one is on a rubric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lengthctl.evaluate.judge_items import Form, Item, JudgeItem, PairItem
from lengthctl.judging import RUBRICS, Rubric
from lengthctl.judging_pairs import PAIR_FORM, Pair, PairScores
from lengthctl.rewards.submissions import Grades, Submission

__all__ = ["PAIRS", "Questions", "questions_for", "texts_by"]

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Questions(Generic[Question, Answer]):
    """A kind of question; a question is hashable, and equal ones are asked once."""

    name: str
    """Unique among the kinds."""
    things: str
    """What lacks a verdict when one fails, for people."""
    form: Form
    """How it is put to the judge, and how the verdict is read."""
    item: Callable[[str, Question], Item]
    """The question under a name, as `evaluate.judge.Judge` takes it."""
    answer: Callable[[Mapping[str, float]], Answer]
    """What a reward gets, from the scores of a verdict."""
    filler: Callable[[int], Question]
    """A question with so many words of material."""


PAIRS: Questions[Pair, PairScores] = Questions(
    name="pairs",
    things="comparisons",
    form=PAIR_FORM,
    item=PairItem,
    answer=lambda scores: PairScores(scores["a"], scores["b"]),
    filler=lambda words: Pair("word " * words, "", ""),
)


def texts_by(rubric: Rubric) -> Questions[Submission, Grades]:
    """Texts, each graded by itself."""
    return Questions(
        name=rubric.name,
        things="texts",
        form=rubric,
        item=lambda name, one: JudgeItem(name, one.request, one.text),
        answer=dict,
        filler=lambda words: Submission("word " * words, ""),
    )


def questions_for(reward: object) -> Questions[Pair, PairScores] | Questions[Submission, Grades]:
    """What a reward with a field `judge` asks: texts by the rubric that its `rubric` names, else pairs."""
    rubric = RUBRICS.get(str(getattr(reward, "rubric", "")))
    return PAIRS if rubric is None else texts_by(rubric)
