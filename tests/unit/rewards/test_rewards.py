"""Every registered reward: range, order, empty and huge texts, pickling; golden values of the shapes."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest

from lengthctl.errors import RewardError
from lengthctl.length import Relation, Target
from lengthctl.rewards import load_rewards
from lengthctl.rewards.combine import Combined, Part, build_reward

LENGTHS = [0, 50, 90, 100, 110, 150, 200, 400]
# Target 100 words. Values follow from the formulas in each class's docstring.
GOLDEN = {
    "linear": [0, 0.5, 0.9, 1, 0.9, 0.5, 0, 0],
    "gaussian": [0, math.exp(-3.125), math.exp(-0.125), 1, math.exp(-0.125), math.exp(-3.125), math.exp(-12.5), 0],
    "band": [0, 0, 1, 1, 1, 0, 0, 0],
    "asymmetric": [0, 0, 0.8, 1, 0.6, 0, 0, 0],
    "log_ratio": [0, 0, 1 - math.log(10 / 9) / math.log(2), 1, 1 - math.log(1.1) / math.log(2), 0.4150375, 0, 0],
    "s_l": [0, 0.5, 17 / 18, 1, 29 / 30, 5 / 6, 2 / 3, 0],
    "lifebench": [0, math.exp(-2.5), math.exp(-0.5), 1, math.exp(-0.2), math.exp(-1), math.exp(-2), math.exp(-6)],
}


def words(count: int) -> str:
    return " ".join(f"w{i}" for i in range(count))


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_shape(name: str) -> None:
    values = build_reward(name, {})([words(n) for n in LENGTHS], target=[100] * len(LENGTHS))
    assert values == pytest.approx(GOLDEN[name], abs=1e-6)


@pytest.mark.parametrize("name", load_rewards())
def test_contract(name: str) -> None:
    reward = build_reward(name, {})
    texts = ["", words(3), "One. Two.", words(100_000)]
    columns = {"target": [10, 10, Target(2).to_row(), 10], "is_truncated": [False, True, False, True]}
    values = list(reward(completions=texts, **columns))
    assert len(values) == len(texts)
    assert all(v is not None and 0 <= v <= 1 for v in values)
    backwards = reward(completions=texts[::-1], **{k: v[::-1] for k, v in columns.items()})
    assert list(backwards) == values[::-1]
    assert pickle.loads(pickle.dumps(reward)) == reward  # noqa: S301


@pytest.mark.parametrize("name", sorted(GOLDEN))
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


@pytest.mark.parametrize("name", load_rewards())
def test_methods_page_has_a_row(name: str) -> None:
    page = Path(__file__).parents[3] / "docs" / "methods.md"
    assert f"| reward `{name}` |" in page.read_text()
