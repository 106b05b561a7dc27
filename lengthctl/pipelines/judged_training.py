"""The judge of a training run: given to the rewards that want one, and asked as soon as a group is complete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from lengthctl.errors import EndpointError
from lengthctl.evaluate.judge import Judge, JudgeStatus, judge_source
from lengthctl.pipelines.judge_opening import opened_judges
from lengthctl.pipelines.judge_questions import Questions, questions_for
from lengthctl.pipelines.judge_room import JudgeRoom
from lengthctl.pipelines.judge_turns import JudgeTurns
from lengthctl.records import Completion, FinishReason
from lengthctl.rewards.combine import Combined
from lengthctl.rewards.judged import JudgedReward
from lengthctl.rewards.pair_groups import Group, make_group
from lengthctl.rewards.pairwise import PairwiseReward
from lengthctl.rollout.cluster import NO_GUESTS, Guests
from lengthctl.rollout.open import engine_layout

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.train.group_watch import OnGroup

__all__ = ["Rooms", "judge_ahead", "judge_guests", "opened_room", "wants_judge", "with_judge"]

Rooms = Mapping[str, JudgeRoom[Any, Any]]
"""By the name of a kind of question, the room in which the judge answers it."""


def wants_judge(reward: Combined) -> bool:
    """A part has a field `judge`."""
    return bool(_kinds(reward))


def judge_guests(config: Config) -> Guests:
    """What the engines of a local judge ask Ray for, beside the run's own; nothing for another judge, or none."""
    if config.judge is None or config.judge.backend != "vllm":
        return NO_GUESTS
    source = judge_source(config)
    engines, threads = engine_layout(source)
    return Guests(engines * threads, (source.rollout.gpus,) * engines)


def with_judge(reward: Combined, rooms: Rooms) -> Combined:
    """The same, with the room of its kind of question in every part that has a field `judge`."""
    parts = (
        replace(part, reward=replace(part.reward, judge=rooms[questions_for(part.reward).name]))  # type: ignore[type-var]
        if _has_judge(part.reward)
        else part
        for part in reward.parts
    )
    return replace(reward, parts=tuple(parts))


def _has_judge(reward: object) -> bool:
    return is_dataclass(reward) and any(field.name == "judge" for field in fields(reward))


def _kinds(reward: Combined) -> dict[str, Questions[Any, Any]]:
    """What its parts ask, each kind once."""
    found = (questions_for(part.reward) for part in reward.parts if _has_judge(part.reward))
    return {kind.name: kind for kind in found}


@contextmanager
def opened_room(
    config: Config, reward: Combined, *, longest_tokens: int, say: Callable[[str], None]
) -> Iterator[Rooms | None]:
    """A room of `config.judge` for each kind of question that the rewards ask; None where no reward wants one. Rooms
    share the judge and take turns, so `judge.patience_s` covers the wait for another room's questions.

    Args:
        config: checked.
        reward: of the run.
        longest_tokens: of a prompt and two completions.
        say: told what happens to the judge.

    Raises:
        EngineError, EndpointError: the judge cannot be started.
    """
    kinds = list(_kinds(reward).values())
    if config.judge is None or not kinds:
        yield None
        return
    longest = {kind.form: [kind.item("longest", kind.filler(longest_tokens))] for kind in kinds}
    interrupts: list[threading.Event] = []
    with ExitStack() as stack:
        judges = stack.enter_context(opened_judges(config, longest, say=say, on_open=interrupts.append))
        if config.judge.backend == "endpoint":
            _probe(kinds[0], judges[0])
        turns = JudgeTurns(interrupts[0] if interrupts else None)
        rooms: dict[str, JudgeRoom[Any, Any]] = {}
        for kind, judge in zip(kinds, judges, strict=True):
            turn = turns.turn(judge)
            rooms[kind.name] = JudgeRoom(
                turn,
                kind,
                is_concurrent=config.judge.concurrent,
                patience_s=config.judge.patience_s,
                silent_steps=config.judge.silent_steps,
                interrupt=turn,
                say=say,
            )
            stack.callback(rooms[kind.name].close)
        yield rooms


def _probe(kind: Questions[Any, Any], judge: Judge[Any]) -> None:
    found = judge.judge([kind.item("probe", kind.filler(1))]).verdicts["probe"]
    if found.status is JudgeStatus.ERROR:
        raise EndpointError(f"the judge does not answer ({found.cause})", "Check judge.endpoint")


def judge_ahead(reward: Combined, rooms: Rooms) -> OnGroup:
    """What is told of each complete group: it asks what the rewards will ask about it."""
    asking = [part.reward for part in reward.parts if isinstance(part.reward, PairwiseReward | JudgedReward)]

    def begin(row: Mapping[str, Any], completions: Sequence[Completion], step: int) -> None:
        for one in asking:
            rooms[questions_for(one).name].begin(one.questions(_group(one, row, completions, step)))

    return begin


def _group(
    reward: PairwiseReward | JudgedReward, row: Mapping[str, Any], completions: Sequence[Completion], step: int
) -> Group:
    """As the reward will see it."""
    name = reward.draws_of(row.get("prompt_id") or row["prompt"], step) if isinstance(reward, PairwiseReward) else ""
    return make_group(
        row["prompt"],
        [completion.text for completion in completions],
        is_cut=[completion.is_truncated for completion in completions],
        is_failed=[completion.finish is FinishReason.ERROR for completion in completions],
        name=name,
        truncated=reward.truncated,
    )
