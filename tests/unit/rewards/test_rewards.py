"""Golden values of the shapes, and what a combination and a user's own reward do (`test_contract` has the rest)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lengthctl.errors import RewardError
from lengthctl.length import Relation, Target, Unit
from lengthctl.rewards import load_rewards
from lengthctl.rewards.build import build_reward
from lengthctl.rewards.combine import Combined, Part

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "length_rewards.json").read_text())
SHAPES = sorted({case["reward"] for case in GOLDEN["shapes"].values()})


def words(count: int) -> str:
    return " ".join(f"w{i}" for i in range(count))


@pytest.mark.parametrize("name", GOLDEN["shapes"])
def test_golden_shape(name: str) -> None:
    case, lengths = GOLDEN["shapes"][name], GOLDEN["lengths"]
    values = build_reward(case["reward"], case["args"])(
        [words(n) for n in lengths], target=[GOLDEN["target"]] * len(lengths)
    )
    assert values == pytest.approx(case["expected"], abs=1e-9)


def test_golden_gate() -> None:
    case = GOLDEN["gate"]
    for (quality, adherence), expected in zip(case["pairs"], case["expected"], strict=True):
        parts = (
            Part("quality", lambda completions, value=quality, **_: [value], 1.0, "reward"),
            Part("adherence", lambda completions, value=adherence, **_: [value], case["weight"], "gate"),
        )
        assert Combined(parts)(["text"]) == pytest.approx([expected], abs=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_never_rises_away_from_the_target(name: str) -> None:
    reward = build_reward(name, {})
    below = reward([words(n) for n in range(1, 41)], target=[40] * 40)
    above = reward([words(n) for n in range(40, 121)], target=[40] * 81)
    assert list(below) == sorted(below)
    assert list(above) == sorted(above, reverse=True)


def test_a_row_without_target_is_left_out() -> None:
    assert build_reward("band", {})(["a b"], target=[None]) == [None]


def test_at_most_has_no_pressure_below() -> None:
    target = Target(20, Relation.AT_MOST)
    assert build_reward("band", {})([words(3), words(20)], target=[target] * 2) == [1.0, 1.0]


def test_gate_takes_away_and_an_empty_text_earns_the_floor() -> None:
    combined = Combined(
        (
            Part("length", build_reward("band", {}), 1.0, "reward"),
            Part("repetition", build_reward("repetition", {}), 1.0, "gate"),
            Part("stop", build_reward("natural_stop", {}), 0.5, "gate"),
        )
    )
    texts = [words(10), "again " * 10, words(10), ""]
    values = combined(texts, target=[10] * 4, is_truncated=[False, False, True, False])
    assert values[0] == 1.0
    assert values[1] is not None
    assert values[1] < 0.5
    assert values[2] == 0.5
    assert values[3] == 0.0


def test_typo_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean tolerance"):
        build_reward("band", {"tolerence": 0.1})
    with pytest.raises(ValueError, match="did you mean band"):
        build_reward("bnad", {})


def test_a_broken_reward_is_an_error_not_a_score() -> None:
    broken = Combined((Part("bad", lambda completions, **_: [float("nan")], 1.0, "reward"),))
    with pytest.raises(RewardError, match="bad returned nan"):
        broken(["text"])


def test_a_negative_weight_does_not_pay_for_cutting_off() -> None:
    combined = Combined(
        (
            Part("length", build_reward("band", {}), -1.0, "reward"),
            Part("stop", build_reward("natural_stop", {}), 1.0, "gate"),
        )
    )
    finished, cut = combined([words(10)] * 2, target=[90] * 2, is_truncated=[False, True])
    assert finished is not None
    assert cut is not None
    assert finished > cut


def test_parts_are_logged_once_where_trl_listens() -> None:
    told: list[tuple[str, float]] = []
    combined = Combined((Part("length", build_reward("band", {}), 1.0, "reward"),))
    combined([words(10), words(30)], target=[10, 10], log_metric=lambda name, value: told.append((name, value)))
    assert told == [("reward_parts/length", 0.5)]


def test_targets_in_tokens_are_counted_with_the_tokenizer() -> None:
    class Letters:
        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            return [ord(c) for c in text]

    target = Target(4, unit=Unit.TOKENS)
    part = Part("length", build_reward("band", {}), 1.0, "reward")
    assert Combined((part,), Letters())(["abcd"], target=[target]) == [1.0]
    with pytest.raises(RewardError, match="needs a tokenizer"):
        Combined((part,))(["abcd"], target=[target])


OWN = """
from __future__ import annotations
from dataclasses import dataclass
import numpy
@dataclass(frozen=True)
class Exact:
    wanted: int = 3
    def __call__(self, prompts, completions, **columns):
        return [numpy.float32(len(c.split()) == self.wanted) for c in completions]
def plain(prompts, completions, bonus=0.0, **columns):
    return [bonus for _ in completions]
async def later(completions, **columns):
    return [0.0]
"""


def test_rewards_of_the_user_have_trls_signature(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    exact = build_reward(f"{path}:Exact", {"wanted": 2})
    combined = Combined((Part("Exact", exact, 1.0, "reward"),))
    assert combined(["a b", "a"], prompts=["p", "p"]) == [1.0, 0.0]
    assert build_reward(f"{path}:plain", {"bonus": 0.5})(prompts=["p"], completions=["a"]) == [0.5]
    with pytest.raises(ValueError, match="is async"):
        build_reward(f"{path}:later", {})
    with pytest.raises(ValueError, match="did you mean plain"):
        build_reward(f"{path}:plian", {})
    with pytest.raises(ValueError, match="cannot be built"):
        build_reward(f"{path}:Exact", {"wantd": 2})


@pytest.mark.parametrize("body", ["raise RuntimeError('no')", "def f(:", "import sys; sys.exit(7)"])
def test_a_file_that_fails_is_named(tmp_path: Path, body: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(body)
    with pytest.raises(ValueError, match=r"own\.py fails when it is imported"):
        build_reward(f"{path}:f", {})


@pytest.mark.parametrize("name", load_rewards())
def test_methods_page_has_a_row(name: str) -> None:
    page = Path(__file__).parents[3] / "docs" / "methods.md"
    assert f"| reward `{name}` |" in page.read_text()
