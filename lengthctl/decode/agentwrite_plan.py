"""The first step of AgentWrite: a plan, read, made to add up and to fit; or a fixed outline in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lengthctl.decode.agentwrite_context import words_of
from lengthctl.decode.agentwrite_options import WritingOptions
from lengthctl.decode.agentwrite_outline import outline_points
from lengthctl.decode.agentwrite_scene import Scene
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.judging import is_refusal
from lengthctl.length import Target
from lengthctl.plan_grammar import parse_plan
from lengthctl.plans import Plan, PlanError, PlanFault, PlanStep, aimed_length, fit_plan, scale_plan
from lengthctl.records import FinishReason

__all__ = ["MadePlan", "plan_limit", "planned", "usual_parts"]

_LINE_TOKENS, _SPARE = 96, 128
_OUTLINE_AFTER = 2


@dataclass(frozen=True)
class MadePlan:
    """A plan with a length for each step, where it comes from, and how many were asked for."""

    plan: Plan
    origin: Literal["model", "outline"]
    attempts: int


def plan_limit(options: WritingOptions, target: Target | None, request: str) -> int:
    """Tokens that a plan may have: twice as many lines as parts of the least length, within `plan_tokens`."""
    if target is None:
        return options.plan_tokens
    words = words_of(aimed_length(target), target.unit, request)
    lines = min(options.max_parts, 2 * max(1, round(words / options.part_floor)))
    return min(options.plan_tokens, _SPARE + _LINE_TOKENS * lines)


def planned(scene: Scene) -> Flow[MadePlan]:
    """A plan that can be used: asked for again where none can be read, where its steps cannot be written in one go, or
    where one step is all of a text of several; the last of the latter two is made to fit.

    Raises:
        FlowFailedError: PLAN_UNREADABLE or REFUSED; BACKEND.
    """
    options = scene.options
    fallback: Plan | None = None
    refusals, why, shows_example = 0, "", options.brief
    attempts = min(options.plan_attempts, _OUTLINE_AFTER) if options.outline else options.plan_attempts
    for attempt in range(attempts):
        (answer,) = yield [_plan_call(scene, attempt, shows_example)]
        raise_for_error([answer])
        try:
            plan = _read(scene, answer, shows_example)
        except PlanError as error:
            refusals += is_refusal(answer.text)
            why = str(error)
            shows_example = shows_example and error.fault is not PlanFault.COPIED  # it would be copied again
            continue
        fitted = fit_plan(plan, floor=scene.floor, ceiling=scene.ceiling, max_steps=options.max_parts)
        is_whole = len(plan.steps) == 1 and scene.total is not None and usual_parts(scene, scene.total) > 1
        if fitted.steps == plan.steps and not is_whole:
            return MadePlan(plan, "model", attempt + 1)
        if not options.outline or (not is_whole and len(fitted.steps) <= 2 * len(plan.steps)):
            fallback = fitted
    if fallback is not None:
        return MadePlan(fallback, "model", attempts)
    if options.outline:
        return MadePlan(_outline(scene), "outline", attempts)
    raise FlowFailedError(Setback.REFUSED if refusals == attempts else Setback.PLAN_UNREADABLE, why)


def _plan_call(scene: Scene, attempt: int, shows_example: bool) -> Call:
    parts = None if scene.total is None else usual_parts(scene, scene.total)
    text = scene.wording.plan(scene.total, parts, scene.floor, scene.ceiling, shows_example=shows_example)
    prefill = scene.wording.opening if scene.options.prefill else ""
    limit = plan_limit(scene.options, scene.asked.target, scene.request)
    return Call(f"plan/{attempt}", scene.saying(text), limit, prefill=prefill)


def usual_parts(scene: Scene, total: int) -> int:
    """Steps of a length in the middle of the bounds, as many as make up the total; 1 to `max_parts`."""
    return min(max(1, round(2 * total / (scene.floor + scene.ceiling))), scene.options.max_parts)


def _read(scene: Scene, answer: Answer, shows_example: bool) -> Plan:
    opening = scene.wording.opening if scene.options.prefill else ""
    is_cut = answer.finish is FinishReason.LIMIT
    # a small model that falls into a loop has said something before
    keeps_first = scene.options.outline
    plan = parse_plan(opening + answer.text, max_steps=scene.options.max_parts, is_cut=is_cut, keeps_first=keeps_first)
    if shows_example and scene.wording.copies_example(step.point for step in plan.steps):
        raise PlanError(PlanFault.COPIED)
    return scale_plan(plan, scene.total, floor=scene.floor, ceiling=scene.ceiling)


def _outline(scene: Scene) -> Plan:
    """Equal parts, with main points for any text."""
    total = scene.total or 4 * scene.ceiling
    points = outline_points(scene.request, usual_parts(scene, total))
    ends = [total * number // len(points) for number in range(len(points) + 1)]
    return Plan(tuple(PlanStep(point, max(1, ends[n + 1] - ends[n])) for n, point in enumerate(points)))
