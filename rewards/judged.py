"""JudgedReward: see the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from lengthctl.judging import RUBRICS, Rubric
from lengthctl.registry import did_you_mean, register
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.judge_calls import judge_in_call
from lengthctl.rewards.judged_log import JudgedText, tell_grades
from lengthctl.rewards.pair_groups import Group, Truncated, read_groups
from lengthctl.rewards.submissions import Grades, Submission, TextJudge

__all__ = ["JudgedReward"]


@register("reward", "judge")
@dataclass(frozen=True)
class JudgedReward:
    """How good a text is by itself, graded by a judge on a rubric; in [0, 1].

    The mean over the rubric's dimensions, from 0 for the grade worth nothing to 1 for the highest: (mean - 1) / 4 under
    `longbench_write`, mean / 10 under `longen`. A cut or empty completion has 0 without judging. One without a verdict
    has None, and in a mix adds nothing, like one with 0: a text cannot win by spoiling its verdict. A failed one has
    None too. The log shows `judge/length_correlation`: a judge that pays for length is won by length.
    Source: S_q of LongBench-Write, arXiv 2408.07055, and LonGen, arXiv 2410.23933; as a reward ours.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    scope: ClassVar[Literal["completion", "group", "batch"]] = "completion"
    columns: ClassVar[tuple[str, ...]] = ()

    rubric: Literal["longbench_write", "longen"] = "longbench_write"
    """What is graded: six dimensions from 1 to 5, or seven from 1 to 10."""
    dimension: str | None = None
    """Take this dimension's grade alone, e.g. Coherence; the judge is asked for all of them, as in evaluation."""
    truncated: Truncated = "loss"
    """Completions that the limit cut: 0 without judging (`loss`), or judged (`judge`)."""
    judge: TextJudge | None = field(default=None, repr=False, compare=False)
    """What grades by the rubric; a run gives it the judge of its config."""

    def __post_init__(self) -> None:
        names = RUBRICS[self.rubric].names
        if self.dimension is not None and self.dimension not in names:
            found = f"{self.rubric} has no dimension {self.dimension!r}{did_you_mean(self.dimension, names)}"
            raise ValueError(f"{found}; it has {', '.join(names)}")

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; numbers of `judged_log` go to `log_metric`, the grades as `judge` to `log_extra`.

        Raises:
            ValueError: no judge, no column `prompts`, or the judge gave another number of answers.
        """
        if self.judge is None:
            raise ValueError("judge has no judge; give the config a section judge, or the reward its argument judge")
        places = [[place] for place in range(len(completions))]
        groups = read_groups(completions, places, columns, name_of=lambda *_: "", truncated=self.truncated)
        wanted = {place: one for place, group in enumerate(groups) for one in self.questions(group)}
        asked = list(dict.fromkeys(wanted.values()))
        answers: Sequence[Grades | None] = judge_in_call(self.judge, columns)(asked) if asked else []
        if len(answers) != len(asked):
            raise ValueError(f"the judge gave {len(answers)} answers to {len(asked)} texts")
        found = dict(zip(asked, answers, strict=True))
        told = {place: JudgedText(one.text, found[one], self._value(found[one])) for place, one in wanted.items()}
        tell_grades(told, RUBRICS[self.rubric], columns, len(completions))
        failed = columns.get("is_failed") or [False] * len(completions)
        unjudged = [None if lost else 0.0 for lost in failed]
        return [told[place].value if place in told else value for place, value in enumerate(unjudged)]

    def questions(self, group: Group) -> list[Submission]:
        """What will be asked about a group, so that it can be asked ahead."""
        return [Submission(group.request, group.texts[member]) for member in group.judged]

    def _value(self, grades: Grades | None) -> float | None:
        return None if grades is None else self._paying.quality(grades)

    @property
    def _paying(self) -> Rubric:
        """The rubric with the dimensions that count."""
        rubric = RUBRICS[self.rubric]
        if self.dimension is None:
            return rubric
        return replace(rubric, dimensions=tuple(d for d in rubric.dimensions if d.name == self.dimension))
