"""Measures of a judge, on pairs whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lengthctl.config import Config, JudgeConfig, RewardSpec
from lengthctl.errors import DataError
from lengthctl.evaluate.judge import Judge
from lengthctl.evaluate.judge_accuracy import judge_accuracy
from lengthctl.judging_pairs import PAIR_FORM, Pair, PairScores, verdict_line
from lengthctl.pipelines.pair_judging import measure_pair_judge
from lengthctl.progress import Narrator
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request

PAIRS = [Pair("r", f"good {i} {'more ' * 9}", f"bad {i}") for i in range(4)]
PAIRS += [Pair("r", f"good {i}", f"bad {i} {'more ' * 9}") for i in range(4)]


class FakeModel:
    """A backend whose verdict is made of both answers."""

    abilities: frozenset[Ability] = frozenset()

    def __init__(self, scores: Callable[[str, str], PairScores | None]) -> None:
        self._scores = scores

    def generate(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        """See `Backend.generate`."""
        done = [Completion(r.id, self._say(r.messages[-1]["content"]), (), (), FinishReason.EOS) for r in requests]
        for completion in done:
            on_completion(completion)
        return done

    def close(self) -> None:
        """Nothing to release."""

    def _say(self, message: str) -> str:
        a, b = (line for line in message.split("\n") if line.startswith(("good", "bad")))
        scores = self._scores(a, b)
        return "no idea" if scores is None else f"I read both.\n{verdict_line(scores)}"


def measured(scores: Callable[[str, str], PairScores | None]) -> dict[str, float | None]:
    settings = JudgeConfig(backend="scripted", script="s", attempts=1)  # type: ignore[call-arg]
    judge = Judge(settings, FakeModel(scores), PAIR_FORM)  # type: ignore[arg-type]
    found = judge_accuracy(judge, PAIRS)
    assert (found.pop("pairs"), found.pop("accuracy_by_kind")) == (8, {})
    return {name: share and share["value"] for name, share in found.items()}


def for_first(holds: Callable[[str, str], bool]) -> Callable[[str, str], PairScores]:
    return lambda a, b: PairScores(9, 1) if holds(a, b) else PairScores(1, 9)


def test_a_good_judge() -> None:
    found = measured(for_first(lambda a, b: a.startswith("good")))
    assert found == {
        "accuracy": 1,
        "accuracy_longer_is_better": 1,
        "accuracy_longer_is_worse": 1,
        "swap_consistency": 1,
        "first_position_share": 0.5,
        "longer_share": 0.5,
        "tie_share": 0,
        "unparsable_share": 0,
    }


def test_accuracy_by_what_pairs_are_about() -> None:
    settings = JudgeConfig(backend="scripted", script="s", attempts=1)  # type: ignore[call-arg]
    longer = FakeModel(for_first(lambda a, b: len(a) > len(b)))
    kinds = ["said more", "said more", None, None, *["said less"] * 4]
    found = judge_accuracy(Judge(settings, longer, PAIR_FORM), PAIRS, kinds=kinds)  # type: ignore[arg-type]
    told = {kind: (share["value"], share["n"]) for kind, share in found["accuracy_by_kind"].items()}
    assert told == {"said less": (0, 8), "said more": (1, 4)}


def test_a_judge_that_prefers_the_longer_text() -> None:
    found = measured(for_first(lambda a, b: len(a) > len(b)))
    assert (found["accuracy"], found["longer_share"], found["swap_consistency"]) == (0.5, 1, 1)
    assert (found["accuracy_longer_is_better"], found["accuracy_longer_is_worse"]) == (1, 0)


def test_a_judge_that_prefers_the_first_place() -> None:
    found = measured(for_first(lambda a, b: True))
    assert (found["accuracy"], found["first_position_share"], found["swap_consistency"]) == (0.5, 1, 0)


def test_ties_and_what_cannot_be_read_are_wrong() -> None:
    tied = measured(lambda a, b: PairScores(5, 5))
    assert (tied["accuracy"], tied["tie_share"], tied["swap_consistency"]) == (0, 1, 1)
    assert tied["first_position_share"] is None
    mute = measured(lambda a, b: None)
    assert (mute["accuracy"], mute["unparsable_share"], mute["swap_consistency"]) == (0, 1, None)


def test_intervals_hold_the_value() -> None:
    settings = JudgeConfig(backend="scripted", script="s", attempts=1)  # type: ignore[call-arg]
    model = FakeModel(for_first(lambda a, b: len(a) > len(b)))
    found = judge_accuracy(Judge(settings, model, PAIR_FORM), PAIRS)  # type: ignore[arg-type]
    accuracy = found["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert (found["pairs"], accuracy["n"]) == (8, 16)
    with pytest.raises(ValueError, match="no pairs"):
        judge_accuracy(Judge(settings, model, PAIR_FORM), [])  # type: ignore[arg-type]


def test_the_judge_of_a_config_is_measured_on_a_file(tmp_path: Path) -> None:
    script, source = tmp_path / "script.jsonl", tmp_path / "pairs.jsonl"
    script.write_text(json.dumps({"id": "*", "texts": ['A is better.\n{"a": 9, "b": 1}']}) + "\n")
    rows = [{"prompt": "r", "chosen": pair.a, "rejected": pair.b} for pair in PAIRS]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = JudgeConfig(backend="scripted", script=str(script))  # type: ignore[call-arg]
    config = Config(rewards=[RewardSpec(name="band")], judge=judge)  # type: ignore[call-arg]
    found = measure_pair_judge(config, str(source), Narrator(), limit=3)
    assert (found["pairs"], found["accuracy"]["value"], found["first_position_share"]["value"]) == (3, 0.5, 1)
    source.write_text(json.dumps({"prompt": "r", "chosen": "x", "rejected": "x"}) + "\n")
    with pytest.raises(DataError, match="no pair that can be used"):
        measure_pair_judge(config, str(source), Narrator())
