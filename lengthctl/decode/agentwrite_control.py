"""AgentWrite as a control: a text that is asked for by itself is planned and written in parts, each under a control."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

from lengthctl.decode.agentwrite import LongRequest, LongText, write_long
from lengthctl.decode.agentwrite_context import step_limit
from lengthctl.decode.agentwrite_options import SMALL_MODEL, WritingOptions
from lengthctl.decode.agentwrite_plan import plan_limit
from lengthctl.decode.agentwrite_scene import Scene
from lengthctl.decode.calls import OfCall, answer_of, task_of
from lengthctl.decode.control import Context, Control, Draw, Outcome, Steps, Task, needs_a_length
from lengthctl.decode.flow import Call, FlowFailedError, Setback
from lengthctl.decode.inner import parse_inner
from lengthctl.decode.plain import Plain
from lengthctl.length import Target
from lengthctl.records import Completion, FinishReason
from lengthctl.registry import register
from lengthctl.rollout.backend import Ability

__all__ = ["AgentWrite", "AgentWriteSmall"]

_FRAME_TOKENS = 640
"""What a prompt says beside request, plan and text."""
_SPARE = 1.5
"""Of a part after one that was cut too soon, and of the plan as it is shown."""

_Outcomes = Generator[Sequence[Draw], Sequence[Completion], list[Outcome]]


@register("control", "agentwrite")
@dataclass(frozen=True)
class AgentWrite(WritingOptions):
    """Plan, then part by part; a target below `plan_min_words` is left to the inner control. Source: LongWriter, arXiv
    2408.07055; see `agentwrite.py`. A document that comes to nothing is an outcome with an error.
    """

    inner: str = "plain"
    """The control of each part, as in `inner=close`; its options are divided by semicolons, as in
    `close:starts=1;hold=true`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner.startswith("agentwrite"):
            raise ValueError("the control of a part cannot itself be agentwrite")
        _ = self._inner.needs  # it exists, and its options are sound

    @cached_property
    def _inner(self) -> Control:
        return parse_inner(self.inner)

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the inner control, and of a plan that is begun."""
        return self._inner.needs | ({Ability.PREFILL} if self.prefill else frozenset())

    def refuses(self, target: Target | None) -> str | None:
        """A text without a length, and what the inner control refuses."""
        return needs_a_length(target) or self._inner.refuses(target)

    def room(self, task: Task, limit: int) -> int:
        """What the prompts say, and the longer of: the plan; a part with the plan and what it is shown of the text."""
        scene = self._scene(task, None)
        if scene.is_short:
            return self._inner.room(task, limit)
        plan = plan_limit(self, task.target, scene.request)
        part = round(_SPARE * step_limit(round(_SPARE * scene.ceiling), scene.unit, scene.request))
        whole = round(_SPARE * step_limit(scene.total or 1, scene.unit, scene.request))
        part, shown = min(part, whole), min(self.context_tokens, whole)
        told = 0 if self.brief else round(_SPARE * plan)
        return _FRAME_TOKENS + max(plan, told + (0 if self.parallel else shown) + self._inner.room(task, part))

    def steps(self, task: Task, context: Context) -> Steps:
        """See the class."""
        scene = self._scene(task, context)
        if scene.is_short:
            return (yield from self._inner.steps(task, context))
        tokenizer = None if context.tokenizer is None else context.tokenizer.tokenizer
        flow = write_long(scene.asked, scene.options, tokenizer)
        try:
            calls = next(flow)
            while True:
                outcomes = yield from self._answered(calls, task, context)
                calls = flow.send([answer_of(outcome) for outcome in outcomes])
        except StopIteration as stop:
            written: LongText = stop.value
        except FlowFailedError as error:
            return Outcome("", (), FinishReason.ERROR, error=str(error))
        ids = () if context.tokenizer is None else context.tokenizer.encode(written.text)
        return Outcome(written.text, ids, written.finish)

    def _scene(self, task: Task, context: Context | None) -> Scene:
        tokenizer = None if context is None or context.tokenizer is None else context.tokenizer.tokenizer
        return Scene(LongRequest(task.messages, task.target, task.request), self, tokenizer)

    def _answered(self, calls: Sequence[Call], task: Task, context: Context) -> _Outcomes:
        """Calls at once: their controls' draws go out together.

        Raises:
            FlowFailedError: a draw of several calls failed, and nothing tells whose.
        """
        running = [
            OfCall(call, self._inner if call.target is not None else Plain()).steps(
                task_of(call, f"{task.id}/{call.name}"), context.limited(call.max_tokens)
            )
            for call in calls
        ]
        if len(running) == 1:
            return [(yield from running[0])]
        outcomes: dict[int, Outcome] = {}
        answers: dict[int, Sequence[Completion] | None] = dict.fromkeys(range(len(running)))
        while answers:
            draws = {}
            for index, got in answers.items():
                try:
                    draws[index] = next(running[index]) if got is None else running[index].send(got)
                except StopIteration as stop:
                    outcomes[index] = stop.value
            drawn = (yield [draw for some in draws.values() for draw in some]) if draws else []
            if len(drawn) != sum(map(len, draws.values())):
                raise FlowFailedError(Setback.BACKEND, "a draw failed")
            place, answers = 0, {}
            for index, some in draws.items():
                answers[index] = drawn[place : place + len(some)]
                place += len(some)
        return [outcomes[index] for index in range(len(running))]


@register("control", "agentwrite-small")
@dataclass(frozen=True)
class AgentWriteSmall(AgentWrite):
    """The same with the defaults of `SMALL_MODEL`: short prompts, parts of 40 to 200 words, a fixed outline where plans
    cannot be read."""

    plan_min_words: int = SMALL_MODEL.plan_min_words
    part_floor: int = SMALL_MODEL.part_floor
    part_ceiling: int = SMALL_MODEL.part_ceiling
    outline: bool = SMALL_MODEL.outline
    brief: bool = SMALL_MODEL.brief
    prefill: bool = SMALL_MODEL.prefill
    keep_faulty: bool = SMALL_MODEL.keep_faulty
    least_share: float = SMALL_MODEL.least_share
    plan_tokens: int = SMALL_MODEL.plan_tokens
    context_tokens: int = SMALL_MODEL.context_tokens
