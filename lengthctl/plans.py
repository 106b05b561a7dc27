"""Plans of long texts: their steps with a main point and a length each, made to add up to what is asked. Pure.

`plan_grammar.py` reads them. Lengths are whole numbers in the unit of the text's target, or in the words that a plan
names itself. Source of the idea: AgentWrite (LongWriter, arXiv 2408.07055); the rules are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from lengthctl.length import Relation, Target

__all__ = [
    "Plan",
    "PlanError",
    "PlanFault",
    "PlanStep",
    "aimed_length",
    "fit_plan",
    "scale_plan",
    "step_length",
    "steps_that_fit",
]

_UNKNOWN_LENGTH = 400
"""Of the steps of a plan that names no length at all, for a text without a target."""
_OFF = (15, 100)
"""A sum that is farther from the target is scaled: a share."""
_OVER_CEILING = (3, 2)
"""A step beyond so many times the ceiling is divided."""


class PlanFault(StrEnum):
    """Why a text is no plan."""

    NO_STEPS = "no_steps"
    """No line of it is a step."""
    TOO_MANY_STEPS = "too_many_steps"
    """It has more steps than are allowed."""
    REPEATED_POINT = "repeated_point"
    """Two steps have the same main point, but for case."""
    COPIED = "copied"
    """It is that of the example which the model was shown."""


class PlanError(ValueError):
    """A text is no plan."""

    def __init__(self, fault: PlanFault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault


@dataclass(frozen=True)
class PlanStep:
    """One part of the text."""

    point: str
    """What it says; one line."""
    length: int | None = None
    """At least 1; None: the plan names none."""


@dataclass(frozen=True)
class Plan:
    """Steps in their order, at least one."""

    steps: tuple[PlanStep, ...]
    dropped: int = 0
    """Lines of the plan's text that were passed over."""
    has_gaps: bool = False
    """Its numbers were not 1, 2, 3, ...; the steps are numbered anew."""

    @property
    def length(self) -> int:
        """Of all steps that name one."""
        return sum(step.length or 0 for step in self.steps)

    def to_rows(self) -> list[dict[str, str | int | None]]:
        """For a column of data: `point` and `length` of each step."""
        return [{"point": step.point, "length": step.length} for step in self.steps]


def aimed_length(target: Target) -> int:
    """The length that a plan for a target adds up to: the number itself, the middle of a range, a tenth above a least
    length and a tenth below a greatest. In the target's unit, at least 1. Ours."""
    match target.relation:
        case Relation.EXACT | Relation.ABOUT:
            return target.value
        case Relation.RANGE:
            return (target.value + (target.high or target.value)) // 2
        case Relation.AT_LEAST:
            return _rounded(11 * target.value, 10, 1)
        case Relation.AT_MOST:
            return max(1, 9 * target.value // 10)
        case _:
            assert_never(target.relation)


def scale_plan(plan: Plan, target: int | None, *, floor: int = 200, ceiling: int = 1000) -> Plan:
    """The plan with a length for each step, and with a sum within 15 % of the target where there is one.

    Steps without a length share what the others leave, each between `floor` and `ceiling`; without a target they get
    the mean of the others, 400 where no step names one. A sum that is off is scaled, step by step to the next ten, or
    to the next whole number where the mean step is below 100. Ours.

    Args:
        plan: as it was read.
        target: length of the whole, at least 1; None: none is asked.
        floor: least length of a step that names none.
        ceiling: its greatest.
    """
    plan = _with_lengths(plan, target, floor, ceiling)
    total = plan.length
    if target is None or abs(total - target) * _OFF[1] <= target * _OFF[0]:
        return plan
    whole = 10 if target >= 100 * len(plan.steps) else 1
    scaled = [max(1, _rounded((step.length or 0) * target, total, whole)) for step in plan.steps]
    return replace(plan, steps=tuple(replace(step, length=n) for step, n in zip(plan.steps, scaled, strict=True)))


def _with_lengths(plan: Plan, target: int | None, floor: int, ceiling: int) -> Plan:
    known = [step.length for step in plan.steps if step.length is not None]
    missing = len(plan.steps) - len(known)
    if not missing:
        return plan
    if target is not None:
        share = min(max(_rounded(target - sum(known), missing, 1), floor), ceiling)
    else:
        share = _rounded(sum(known), len(known), 1) if known else _UNKNOWN_LENGTH
    return replace(plan, steps=tuple(replace(step, length=step.length or share) for step in plan.steps))


def fit_plan(plan: Plan, *, floor: int, ceiling: int, max_steps: int) -> Plan:
    """The plan with steps that a model can write in one go; the sum stays. Ours.

    A step beyond 1.5 times the ceiling is divided into equal ones, as far as `max_steps` allows, each with the point
    and its place, as in (2/3): longer ones come out short. Where the mean step is below half the floor, neighbours are
    put together until each has the floor: shorter ones come out long.

    Args:
        plan: each step with a length.
        floor: least length of a step that is aimed at, at least 1.
        ceiling: its greatest, at least the floor.
        max_steps: greatest number of steps.
    """
    if 2 * plan.length < floor * len(plan.steps):
        plan = _merged(plan, floor)
    steps: list[PlanStep] = []
    for index, step in enumerate(plan.steps):
        left = len(plan.steps) - index - 1
        steps.extend(_divided(step, ceiling, max_steps - len(steps) - left))
    return replace(plan, steps=tuple(steps))


def _merged(plan: Plan, floor: int) -> Plan:
    groups: list[list[PlanStep]] = []
    for step in plan.steps:
        if groups and sum(s.length or 0 for s in groups[-1]) < floor:
            groups[-1].append(step)
        else:
            groups.append([step])
    if len(groups) > 1 and sum(s.length or 0 for s in groups[-1]) < floor:
        groups[-2].extend(groups.pop())
    merged = (PlanStep("; ".join(s.point for s in group), sum(s.length or 0 for s in group)) for group in groups)
    return replace(plan, steps=tuple(merged))


def _divided(step: PlanStep, ceiling: int, most: int) -> list[PlanStep]:
    length = step.length or 1
    if length * _OVER_CEILING[1] <= ceiling * _OVER_CEILING[0] or most < 2:
        return [step]
    pieces = min(-(-length // ceiling), most)
    ends = [length * number // pieces for number in range(pieces + 1)]
    return [PlanStep(f"{step.point} ({n}/{pieces})", ends[n] - ends[n - 1]) for n in range(1, pieces + 1)]


def steps_that_fit(steps: Sequence[PlanStep], written: int, target: int | None) -> tuple[PlanStep, ...]:
    """The steps that are left, without those that no length is left for: where half their lengths are more than what is
    left of the target, the last but one goes, again and again; where nothing is left, all of them. Ours.

    Args:
        steps: those left, each with a length.
        written: length of what stands.
        target: of the whole; None: all fit.
    """
    if target is None:
        return tuple(steps)
    if written >= target:
        return ()
    kept = list(steps)
    while len(kept) > 1 and sum(step.length or 1 for step in kept) > 2 * (target - written):
        del kept[-2]
    return tuple(kept)


def step_length(steps: Sequence[PlanStep], written: int, target: int | None) -> int:
    """What the first of the steps that are left is asked for: its length, drawn out or drawn in so that all that are
    left fill what is left of the target, by a factor of 0.5 to 1.5 (ours).

    Args:
        steps: those left, the next one first, each with a length.
        written: length of what stands.
        target: of the whole; None: the plan's own lengths hold.
    """
    own = steps[0].length or 1
    if target is None:
        return own
    planned = sum(step.length or 1 for step in steps)
    left = min(max(target - written, planned / 2), planned * 1.5)
    return max(1, round(own * left / planned))


def _rounded(numerator: int, denominator: int, whole: int) -> int:
    """The quotient to the next multiple of `whole`, halves up."""
    return (2 * numerator + whole * denominator) // (2 * whole * denominator) * whole
