"""How a long text is planned and written in parts: the options of AgentWrite, for data and as a control."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SMALL_MODEL", "WritingOptions"]


@dataclass(frozen=True)
class WritingOptions:
    """Lengths are in words; for targets in another unit they are converted (about 5.6 characters a word; an ideograph
    counts as a word). Source: AgentWrite of LongWriter, arXiv 2408.07055, whose code plans 200 to 1,000 words a part,
    at most 50 parts, and writes them in order; the rest is ours.

    Raises:
        ValueError: a number out of range.
    """

    plan_min_words: int = 800
    """A target below it is written in one call, without a plan. A target that nobody names is planned."""
    part_floor: int = 200
    """Least length of a part that a plan aims at."""
    part_ceiling: int = 1000
    """Its greatest: steps beyond 1.5 times of it are planned anew, at last divided."""
    max_parts: int = 50
    """A plan of more is refused."""
    plan_attempts: int = 3
    """Plans that are asked for, until one can be read."""
    step_attempts: int = 2
    """Texts of a part that are asked for, until one is sound."""
    parallel: bool = False
    """Write all parts at once, from the request and the plan only; else each behind the text so far."""
    redistribute: bool = True
    """Each part is asked for its share of what is left of the target, by a factor of 0.5 to 1.5 on its plan; parts that
    no length is left for are left out. Else every part gets the length of its plan, as in the paper."""
    outline: bool = False
    """After two plans that cannot be used, take a fixed outline of equal parts instead of a third; and, with
    `redistribute`, add main points of it before the last, at worst behind it, where the parts of a plan come out too
    short to fill the target: for small models."""
    brief: bool = False
    """Short prompts with an example, without the plan in each, the request last but one: for small models."""
    prefill: bool = False
    """Begin the plan for the model ("Paragraph 1 - Main Point:")."""
    keep_faulty: bool = False
    """Where no text of a part is sound, keep the best of them, or leave the part out; else the document fails. Of
    every part the sentences that stood before are taken out, too: for small models."""
    least_share: float = 0.0
    """A part that comes out below this share of its length is asked for again, and the nearest is taken."""
    plan_tokens: int = 4096
    """Limit of a plan at most; what its steps need where that is less."""
    context_tokens: int = 16_384
    """Of the text so far a part is shown so much: of a longer one the first tenth and the end. Where the conversation
    still is too long for the model, half of it, again and again."""

    def __post_init__(self) -> None:
        least = ("part_floor", "max_parts", "plan_attempts", "step_attempts", "plan_tokens", "context_tokens")
        for name in least:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, found {getattr(self, name)}")
        if not 0 <= self.least_share < 1:
            raise ValueError(f"least_share lies between 0 and 1, found {self.least_share}")
        if self.plan_min_words < 0:
            raise ValueError(f"plan_min_words is at least 0, found {self.plan_min_words}")
        if self.part_ceiling < self.part_floor:
            raise ValueError(f"part_floor <= part_ceiling is needed, found {self.part_floor} and {self.part_ceiling}")


SMALL_MODEL = WritingOptions(
    plan_min_words=150,
    part_floor=40,
    part_ceiling=200,
    outline=True,
    brief=True,
    prefill=True,
    keep_faulty=True,
    least_share=0.5,
    plan_tokens=400,
    context_tokens=200,
)
"""For models of a few hundred million weights, which follow short prompts at best."""
