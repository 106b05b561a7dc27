"""The judge of a run: who gets which room, and what is asked of it ahead."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_judge import FakeModel

from lengthctl.config import Config, JudgeConfig, ModelConfig, RewardSpec, load_config
from lengthctl.errors import ConfigError
from lengthctl.evaluate.judge import Judge
from lengthctl.judging import LONGBENCH_WRITE, LONGEN
from lengthctl.judging_pairs import PAIR_FORM, Pair, PairScores
from lengthctl.pipelines.judge_questions import PAIRS, questions_for, texts_by
from lengthctl.pipelines.judge_room import JudgeRoom
from lengthctl.pipelines.judge_turns import JudgeTurns
from lengthctl.pipelines.judged_training import Rooms, judge_ahead, judge_guests, opened_room, wants_judge, with_judge
from lengthctl.records import Completion, FinishReason
from lengthctl.rewards.combine import Combined, Part
from lengthctl.rewards.finished import FinishedReward
from lengthctl.rewards.judged import JudgedReward
from lengthctl.rewards.pairwise import PairwiseReward
from lengthctl.rewards.submissions import Submission
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.train.group_watch import GroupWatch

GOOD = 'It is clearer.\n{"a": 8, "b": 3}'
FOURS = f"Fine.\n{json.dumps(dict.fromkeys(LONGBENCH_WRITE.names, 4))}"
LINES = [Pair("r", f"x{i}", "y") for i in range(4)]
STATE = SimpleNamespace(global_step=3)


def answers(message: str) -> str:
    """A verdict in the form that is asked for."""
    return GOOD if "two answers" in message else FOURS


def rooms(say: Callable[[str], str] = answers) -> tuple[Rooms, FakeModel]:
    """Both kinds over one model, as a run opens them."""
    settings = JudgeConfig(backend="scripted", script="s", attempts=1)  # type: ignore[call-arg]
    model, turns = FakeModel(say), JudgeTurns()
    kinds: list[Any] = [PAIRS, texts_by(LONGBENCH_WRITE)]
    return {
        kind.name: JudgeRoom(turns.turn(Judge(settings, model, kind.form)), kind, patience_s=5.0) for kind in kinds
    }, model


def mix(*rewards: Any) -> Combined:
    parts = [Part(f"part {i}", reward, 1.0, "reward") for i, reward in enumerate(rewards)]
    return Combined((*parts, Part("finished", FinishedReward(), 1.0, "gate")))


@dataclass(frozen=True)
class OwnReward:
    """A user's, which compares."""

    judge: Any = None

    def __call__(self, completions: Any, **_: Any) -> list[float]:
        """Nothing."""
        return [0.0] * len(completions)


def test_each_part_gets_the_room_of_its_kind() -> None:
    opened, _ = rooms()
    reward = with_judge(mix(PairwiseReward(), JudgedReward(), OwnReward()), opened)
    first, second, own, gate = (part.reward for part in reward.parts)
    assert first.judge is own.judge is opened["pairs"]  # type: ignore[attr-defined]
    assert second.judge is opened["longbench_write"]  # type: ignore[attr-defined]
    assert gate == FinishedReward()
    assert wants_judge(reward)
    assert not wants_judge(mix())
    assert questions_for(JudgedReward(rubric="longen")).form is LONGEN
    assert questions_for(PairwiseReward()).form is PAIR_FORM


def completion(name: str, text: str) -> Completion:
    return Completion(name, text, (1,), (), FinishReason.EOS)


def watched(reward: Combined, opened: Rooms) -> tuple[GroupWatch, list[dict[str, Any]]]:
    """Two groups of two in step 3."""
    requests = [Request(f"r{i}", (), Sampling(), group=f"g{i // 2}") for i in range(4)]
    rows = [{"prompt": [{"role": "user", "content": f"p{i // 2}"}], "prompt_id": f"id{i // 2}"} for i in range(4)]
    return GroupWatch(requests, rows, 3, judge_ahead(reward, opened)), rows


@pytest.mark.parametrize(
    ("kinds", "questions"), [([PairwiseReward], 2), ([JudgedReward], 2), ([PairwiseReward, JudgedReward], 4)]
)
def test_a_group_is_judged_as_soon_as_it_is_complete(kinds: list[Any], questions: int) -> None:
    opened, model = rooms()
    reward = with_judge(mix(*(kind() for kind in kinds)), opened)
    watch, rows = watched(reward, opened)
    watch(completion("r0", "zero"))
    watch(completion("r3", "three"))
    assert not model.asked
    watch(completion("r2", " two"))
    columns = {"prompts": [row["prompt"] for row in rows[2:]], "prompt_id": ["id1"] * 2, "trainer_state": STATE}
    for part in reward.parts[:-1]:
        values = part.reward([" two", "three"], **columns)
        expected = [-1, 0] if isinstance(part.reward, PairwiseReward) else [0.75, 0.75]  # the first place is preferred
        assert sorted(value for value in values if value is not None) == expected
    assert len(model.asked) == questions
    assert all("p1" in message and "p0" not in message for message in model.asked)


def test_rooms_of_a_mix_ask_one_after_the_other() -> None:
    at_work, most, guard = 0, 0, threading.Lock()

    def say(message: str) -> str:
        nonlocal at_work, most
        with guard:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.002)
        with guard:
            at_work -= 1
        return answers(message)

    opened, _ = rooms(say)
    texts = [Submission("r", f"text {i}") for i in range(4)]
    opened["pairs"].begin(LINES)
    opened["longbench_write"].begin(texts)
    assert opened["pairs"](LINES) == [PairScores(8, 3)] * 4
    assert opened["longbench_write"](texts) == [dict.fromkeys(LONGBENCH_WRITE.names, 4)] * 4
    assert most == 1


def test_a_room_that_gets_no_answer_leaves_the_other_alone() -> None:
    opened, _ = rooms(lambda message: answers(message) if "two answers" in message else str(1 / 0))
    reward = with_judge(mix(PairwiseReward(), JudgedReward()), opened)
    values = reward.components(["one.", "two."], prompts=["p"] * 2, trainer_state=STATE)
    assert values["part 1"] == [None, None]
    assert sorted(value for value in values["part 0"] if value is not None) == [-1, 0]


def test_a_group_is_told_of_once_and_in_order() -> None:
    told: list[list[str]] = []
    requests = [Request(f"r{i}", (), Sampling(), group="g") for i in range(3)]
    watch = GroupWatch(requests, [{}] * 3, 0, lambda row, done, step: told.append([c.text for c in done]))
    for name in ("r2", "r0", "r0", "r1", "r1"):
        watch(completion(name, name))
    assert told == [["r0", "r1", "r2"]]
    with pytest.raises(ValueError, match="zip"):
        GroupWatch(requests, [{}], 0, lambda *_: None)


def config(tmp_path: Path, verdict: str) -> Config:
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"id": "*", "texts": [verdict]}) + "\n")
    return Config(  # type: ignore[call-arg]
        rewards=[RewardSpec(name="pairwise")],  # type: ignore[call-arg]
        judge=JudgeConfig(backend="scripted", script=str(script)),  # type: ignore[call-arg]
    )


def test_the_judge_of_a_config_is_opened_where_a_reward_wants_one(tmp_path: Path) -> None:
    said: list[str] = []
    given = config(tmp_path, GOOD)
    with opened_room(given, mix(PairwiseReward()), longest_tokens=100, say=said.append) as opened:
        assert opened is not None
        assert list(opened) == ["pairs"]
        assert opened["pairs"](LINES) == [PairScores(8, 3)] * 4
    assert opened["pairs"](LINES[:1]) == [PairScores(8, 3)]  # what is known stays known
    with opened_room(given, mix(), longest_tokens=100, say=said.append) as none:
        assert none is None
    assert not said


def test_a_mix_of_both_kinds_opens_two_rooms_on_one_judge(tmp_path: Path) -> None:
    said: list[str] = []
    reward = mix(PairwiseReward(), JudgedReward(), JudgedReward(dimension="Clarity"))
    before = set(threading.enumerate())
    with opened_room(config(tmp_path, FOURS), reward, longest_tokens=100, say=said.append) as opened:
        assert opened is not None
        values = with_judge(reward, opened).components(["a.", "b."], prompts=["p"] * 2, trainer_state=STATE)
    assert values == {"part 0": [None] * 2, "part 1": [0.75] * 2, "part 2": [0.75] * 2, "finished": [1.0] * 2}
    assert len(said) == 1  # grades are no scores of a pair
    assert "comparisons" in said[0]
    assert set(threading.enumerate()) == before


def test_cores_of_a_local_judge(tmp_path: Path) -> None:
    given = config(tmp_path, GOOD)
    assert judge_guests(given).cpus == 0
    local = JudgeConfig(backend="vllm", model=ModelConfig(name=str(tmp_path)), engines=2, threads=3, gpus=0.2)  # type: ignore[call-arg]
    guests = judge_guests(given.model_copy(update={"judge": local}))
    assert guests.cpus == 6
    assert guests.gpus == (0.2, 0.2)


def test_a_recipe_that_rewards_by_a_judge_needs_one(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("rewards: [{name: judge, args: {rubric: longen}}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"judge\s+is needed: judge asks it"):
        load_config(recipe)
    load_config(recipe, ["judge={backend: scripted, script: s}"])
    with pytest.raises(ConfigError, match="did you mean longen"):
        load_config(recipe, ["judge={backend: scripted, script: s}", "rewards.judge.args.rubric=longenn"])
