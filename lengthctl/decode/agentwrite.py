"""AgentWrite: a long text in many calls. A plan with a length for each part, then part by part.

Source: LongWriter, arXiv 2408.07055. Differs from its code: plans are read by a grammar and made to add up, parts are
cleaned, checked and asked for again, their lengths follow what is written so far, a text that is too long for the
context is shown by its ends, and what fails ends the document with a cause instead of standing in the text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lengthctl.decode.agentwrite_context import shown_text, step_limit
from lengthctl.decode.agentwrite_options import WritingOptions
from lengthctl.decode.agentwrite_outline import further_points
from lengthctl.decode.agentwrite_parts import Written, clean_part, cut_at_sentence, without_repeats
from lengthctl.decode.agentwrite_plan import MadePlan, planned
from lengthctl.decode.agentwrite_scene import LongRequest, Scene
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Answer, Call, Flow, FlowFailedError, Setback
from lengthctl.length import Encoder, Target, Unit
from lengthctl.plans import Plan, PlanStep, step_length, steps_that_fit
from lengthctl.reasoning import without_reasoning
from lengthctl.records import FinishReason
from lengthctl.sentences import sentence_ends
from lengthctl.token_rates import ample_limit

__all__ = ["LongRequest", "LongText", "Part", "write_long"]

_DONE = 0.9
"""A part that the limit cut is taken, up to a whole sentence, from so much of its length on."""
_LONGER = 1.5
"""On the limit of a part, after one that the limit cut too soon; and on the length of a step at most."""
_LEAST_RATE = 0.2
"""Parts that came out still shorter say little about the next."""
_OPEN = 0.15
_LEAST_SHOWN = 64
_SEVERITY = (None, Setback.UNFINISHED, Setback.REPETITIVE, Setback.REFUSED, Setback.EMPTY)


@dataclass(frozen=True)
class Part:
    """A part that was written, or left out."""

    point: str
    asked: int
    """Length, in the unit of the text."""
    text: str
    """Empty where it was left out."""
    length: int
    attempts: int
    fault: Setback | None = None
    """What is wrong with it; it was kept for want of a better one."""
    is_cut: bool = False
    """The limit ended it, and we cut it at the end of a sentence."""
    is_shortened: bool = False
    """It was shown the ends only of the text before it."""


@dataclass(frozen=True)
class LongText:
    """A text and how it came about; without parts and plan where it was written in one call."""

    text: str
    finish: FinishReason
    unit: Unit
    parts: tuple[Part, ...] = ()
    """Those that were written, and those that came out empty."""
    made: MadePlan | None = None

    @property
    def left_out(self) -> int:
        """Steps of the plan without a text: no length was left for them, or nothing came."""
        written = {part.point for part in self.parts if part.text}
        return 0 if self.made is None else sum(step.point not in written for step in self.made.plan.steps)


def write_long(
    asked: LongRequest, options: WritingOptions | None = None, tokenizer: Encoder | None = None
) -> Flow[LongText]:
    """The text of a request, in one call where it is short, else after a plan; parts stand between blank lines.

    Args:
        asked: the conversation, and its target where one is known.
        options: see there; the defaults when None.
        tokenizer: counts the tokens of the text so far, else they are estimated; a target in tokens needs it.

    Raises:
        FlowFailedError: PLAN_UNREADABLE, REFUSED, or what is wrong with all texts of a part; BACKEND.
    """
    return _Writer(Scene(asked, options or WritingOptions(), tokenizer)).run()


@dataclass
class _Draft:
    """One text of a part."""

    text: str
    length: int
    fault: Setback | None
    is_cut: bool
    is_cut_soon: bool
    """The limit cut it well before its length."""
    is_short: bool
    """It is below the least share of its length."""


@dataclass
class _Attempts:
    """The texts of one part."""

    index: int
    step: PlanStep
    length: int
    is_last: bool
    drafts: list[_Draft] = field(default_factory=list)
    is_shortened: bool = False

    def best(self) -> _Draft:
        """A sound one, else the least bad; of equal ones the nearest to the length."""
        return min(self.drafts, key=lambda d: (_SEVERITY.index(d.fault), abs(d.length - self.length)))

    @property
    def is_sound(self) -> bool:
        """The last one is."""
        last = self.drafts[-1] if self.drafts else None
        return last is not None and last.fault is None and not last.is_cut_soon and not last.is_short


class _Writer:
    """One document."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._options = scene, scene.options
        self._shown = scene.options.context_tokens
        self._written = Written()

    def run(self) -> Flow[LongText]:
        """See `write_long`."""
        if self._scene.is_short:
            return (yield from self._at_once())
        made = yield from planned(self._scene)
        parts = yield from (self._together(made.plan) if self._options.parallel else self._in_order(made.plan))
        if not self._written.parts:
            raise FlowFailedError(Setback.EMPTY, "no part was written")
        finish = FinishReason.CLOSED if parts[-1].is_cut else FinishReason.EOS
        return LongText(self._written.text, finish, self._scene.unit, tuple(parts), made)

    def _at_once(self) -> Flow[LongText]:
        target = self._scene.asked.target
        assert target is not None
        (answer,) = yield [Call("write", self._scene.asked.messages, ample_limit(target), target)]
        raise_for_error([answer])
        text = without_reasoning(answer.text).strip()
        if not text:
            raise FlowFailedError(Setback.EMPTY)
        return LongText(text, answer.finish, self._scene.unit)

    def _in_order(self, plan: Plan) -> Flow[list[Part]]:
        """Part by part, each behind the text so far."""
        steps, parts = plan.steps, list[Part]()
        total = self._scene.total if self._options.redistribute else None
        while True:
            written = self._scene.count(self._written.text)
            left = steps_that_fit(steps[len(parts) :], written, total)
            if total is not None and self._options.outline:
                left = self._filled(left, parts, total - written)
            if not left:
                return parts
            steps = (*steps[: len(parts)], *left)
            length = step_length(left, written, total)
            tries = _Attempts(len(parts), left[0], length, len(left) == 1)
            while not tries.is_sound and len(tries.drafts) < self._options.step_attempts:
                yield from self._try(tries, steps)
            parts.append(self._kept(tries))

    def _filled(self, left: tuple[PlanStep, ...], parts: Sequence[Part], lacking: int) -> tuple[PlanStep, ...]:
        """The steps that are left. Where even 1.5 times their lengths are not enough, at the rate at which parts have
        come out so far, further ones stand before the last, or behind a last one that left more than a share of the
        whole open, as far as `max_parts` allows."""
        if lacking <= (0 if left else _OPEN * (self._scene.total or 0)):
            return left
        asked = sum(part.asked for part in parts)
        rate = min(1.0, max(_LEAST_RATE, sum(part.length for part in parts) / asked)) if asked else 1.0
        most = _LONGER * rate
        usual = max(1, (self._scene.floor + self._scene.ceiling) // 2)
        wanted = math.ceil((lacking - most * sum(step.length or 1 for step in left)) / (most * usual))
        wanted = min(wanted, self._options.max_parts - len(parts) - len(left))
        if wanted <= 0:
            return left
        used = {*(part.point for part in parts), *(step.point for step in left)}
        points = further_points(self._scene.request, used, wanted)
        return (*left[:-1], *(PlanStep(point, usual) for point in points), *left[-1:])

    def _try(self, tries: _Attempts, steps: Sequence[PlanStep]) -> Flow[None]:
        """One more text of a part; where the conversation is too long, with less of the text so far."""
        retreats = 0
        while True:
            try:
                (answer,) = yield [self._call(tries, steps, retreats)]
                break
            except FlowFailedError as error:
                if error.setback is not Setback.TOO_LONG or self._shown < _LEAST_SHOWN or not self._written.parts:
                    raise
                self._shown = min(self._shown, self._scene.count_tokens(self._written.text)) // 2
                retreats += 1
        self._take(tries, answer)

    def _together(self, plan: Plan) -> Flow[list[Part]]:
        """All parts at once, then those that were not sound again."""
        total = self._scene.total if self._options.redistribute else None
        factor_of = step_length(plan.steps, 0, total) / (plan.steps[0].length or 1)
        parts = [
            _Attempts(index, step, max(1, round((step.length or 1) * factor_of)), index + 1 == len(plan.steps))
            for index, step in enumerate(plan.steps)
        ]
        for _ in range(self._options.step_attempts):
            owed = [tries for tries in parts if not tries.is_sound]
            if not owed:
                break
            answers = yield [self._call(tries, plan.steps, 0) for tries in owed]
            for tries, answer in zip(owed, answers, strict=True):
                self._take(tries, answer)
        return [self._kept(tries) for tries in parts]

    def _call(self, tries: _Attempts, steps: Sequence[PlanStep], retreats: int) -> Call:
        so_far = "" if self._options.parallel else self._written.text
        shown = shown_text(so_far, self._shown, self._scene.count_tokens)
        tries.is_shortened = shown != so_far
        text = self._scene.wording.step(
            steps,
            tries.index,
            tries.length,
            text=shown,
            is_apart=self._options.parallel,
            is_last=tries.is_last,
        )
        was_short = bool(tries.drafts) and tries.drafts[-1].is_cut_soon
        limit = round(step_limit(tries.length, self._scene.unit, self._scene.request) * (_LONGER if was_short else 1))
        name = f"write/{tries.index}/{len(tries.drafts)}" + (f"/{retreats}" if retreats else "")
        return Call(name, self._scene.saying(text), limit, Target(tries.length, unit=self._scene.unit))

    def _take(self, tries: _Attempts, answer: Answer) -> None:
        raise_for_error([answer])
        before = "" if self._options.parallel else self._written.text
        part = clean_part(answer.text, tries.step.point, before)
        is_cut = answer.finish is FinishReason.LIMIT
        if is_cut:
            ends = [(end, self._scene.count(part[:end])) for end in sentence_ends(part)]
            part = cut_at_sentence(part, ends, tries.length)
        if self._options.keep_faulty:
            part = without_repeats(part, self._written)
        length = self._scene.count(part)
        fault = self._written.fault(part, is_cut=is_cut)
        is_cut_soon = is_cut and length < _DONE * tries.length
        is_short = length < self._options.least_share * tries.length
        tries.drafts.append(_Draft(part, length, fault, is_cut, is_cut_soon, is_short))

    def _kept(self, tries: _Attempts) -> Part:
        """The part of the document; what is not sound ends it, unless faulty parts are kept."""
        best = tries.best()
        fault, kept, length = best.fault, best.text, best.length
        if self._options.parallel:  # the parts before it stand only now
            if self._options.keep_faulty:
                kept = without_repeats(kept, self._written)
                length = self._scene.count(kept)
            fault = fault or self._written.fault(kept, is_cut=best.is_cut)
        if fault is not None and not self._options.keep_faulty:
            raise FlowFailedError(fault, f"part {tries.index + 1}")
        text = "" if fault in (Setback.EMPTY, Setback.REFUSED) else kept
        if text:
            self._written.add(text)
        return Part(
            tries.step.point,
            tries.length,
            text,
            length if text else 0,
            len(tries.drafts),
            fault,
            best.is_cut,
            tries.is_shortened,
        )
