"""Roles in the mix: golden values of gate, floor and constraint; what each can take away, learn and log."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.config import RewardSpec
from lengthctl.config.loading import load_config
from lengthctl.errors import ConfigError, RewardError
from lengthctl.rewards.arguments import arguments_of, check_arguments
from lengthctl.rewards.build import build_reward
from lengthctl.rewards.catalog import describe_reward, list_rewards
from lengthctl.rewards.combine import Combined, Part, build_combined, missing_columns
from lengthctl.rewards.multiplier import Multiplier
from lengthctl.rewards.part import Role

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "combination.json").read_text())["cases"]


@dataclass(frozen=True)
class Column:
    """A reward whose values are those of a column."""

    column: str
    lowest: float = 0.0
    highest: float = 1.0

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return list(columns[self.column])


def part(name: str, role: Role = "reward", weight: float = 1.0, lowest: float = 0.0, **more: Any) -> Part:
    return Part(name, Column(name, lowest), weight, role, **more)


def combine(parts: Sequence[Part], texts: Sequence[str] | None = None, **columns: Any) -> list[float | None]:
    count = len(next(iter(columns.values())))
    return Combined(tuple(parts))(list(texts or ["text"] * count), **columns)


def spec(name: str, **more: Any) -> RewardSpec:
    return RewardSpec.model_validate({"name": name, **more})


def pairs(name: str) -> dict[str, Any]:
    quality, adherence = zip(*GOLDEN[name]["inputs"]["pairs"], strict=True)
    return {"q": list(quality), "a": list(adherence)}


def test_golden_sum() -> None:
    weight = GOLDEN["D2-additive"]["inputs"]["weight"]
    values = combine([part("q", weight=1 - weight), part("a", weight=weight)], **pairs("D2-additive"))
    assert values == pytest.approx(GOLDEN["D2-additive"]["expected"], abs=1e-9)


def test_golden_gate() -> None:
    weight = GOLDEN["D2-gate"]["inputs"]["weight"]
    values = combine([part("q"), part("a", "gate", weight)], **pairs("D2-gate"))
    assert values == pytest.approx(GOLDEN["D2-gate"]["expected"], abs=1e-9)


@pytest.mark.parametrize("order", [1, -1])
def test_golden_floor_wherever_it_stands(order: int) -> None:
    at_least = GOLDEN["D2-lexicographic"]["inputs"]["floor"]
    values = combine([part("q", "floor", at_least=at_least), part("a")][::order], **pairs("D2-lexicographic"))
    assert values == pytest.approx(GOLDEN["D2-lexicographic"]["expected"], abs=1e-9)


def test_golden_constraint() -> None:
    case = GOLDEN["D2-lagrangian"]["inputs"]
    constraint = part("a", "constraint", at_least=1 - case["budget"], multiplier=Multiplier(case["lam"]))
    values = combine([part("q"), constraint], **pairs("D2-lagrangian"))
    assert values == pytest.approx(GOLDEN["D2-lagrangian"]["expected"], abs=1e-9)


def test_golden_multiplier() -> None:
    case = GOLDEN["D2-dual"]["inputs"]
    found = []
    for start, mean_cost in case["pairs"]:
        multiplier = Multiplier(start, case["lr"], case["lam_max"])
        multiplier.update(1 - mean_cost, 1 - case["budget"])
        found.append(multiplier.value)
    assert found == pytest.approx(GOLDEN["D2-dual"]["expected"], abs=1e-9)


def test_below_a_floor_the_rest_counts_at_its_lowest() -> None:
    """A cost that counted only above the floor would pay for staying below it."""
    parts = [part("q", "floor", 2.0, at_least=0.5), part("cost", lowest=-1.0)]
    assert combine(parts, q=[0.25, 0.5, 0.5], cost=[0.0, 0.0, -1.0]) == [-0.5, 1.0, 0.0]


def test_floors_come_one_after_another() -> None:
    parts = [part("a"), part("p", "floor", at_least=0.5), part("q", "floor", at_least=0.5)]
    values = combine(parts, p=[0.2, 0.6, 0.6], q=[0.9, 0.2, 0.9], a=[1.0, 1.0, 1.0])
    assert values == pytest.approx([0.2, 0.8, 2.5])


def test_a_gate_takes_from_floors_and_constraints_too() -> None:
    constraint = part("c", "constraint", at_least=0.8, multiplier=Multiplier(2.0))
    parts = [part("q", "floor", at_least=0.5), constraint, part("g", "gate")]
    whole, cut, low = combine(parts, q=[1.0, 1.0, 0.2], c=[1.0, 1.0, 1.0], g=[1.0, 0.0, 1.0])
    assert whole == pytest.approx(1.0 + 2 * 0.2)
    assert cut == pytest.approx(-1.6)
    assert low == pytest.approx(0.2 - 1.6)


def test_an_empty_text_earns_the_least() -> None:
    constraint = part("c", "constraint", at_least=0.5, multiplier=Multiplier(2.0))
    parts = [part("q", lowest=-1.0), constraint, part("f", "floor", at_least=0.1)]
    assert combine(parts, ["  \n"], q=[1.0], c=[1.0], f=[1.0]) == [-2.0]


def test_what_is_unbounded_never_becomes_nan() -> None:
    parts = [part("q", lowest=-math.inf), part("g", "gate"), part("f", "floor", at_least=0.5)]
    values = combine(parts, ["text", ""], q=[-7.0, -3.0], g=[0.0, 1.0], f=[1.0, 1.0])
    assert values == [-7.0, -3.0]


def test_parts_that_do_not_apply_are_left_out() -> None:
    parts = [part("q", "floor", at_least=0.5), part("a"), part("g", "gate")]
    values = combine(parts, q=[None, 0.2, None], a=[0.7, None, None], g=[None, None, 0.5])
    assert values == [0.7, 0.2, None]


weights = st.floats(0.1, 3)
units = st.floats(0, 1)


@given(q=units, a=units, c=units, g=units, lam=st.floats(0, 10), w=weights)
def test_gates_only_take_away_and_values_are_bounded(
    q: float, a: float, c: float, g: float, lam: float, w: float
) -> None:
    multiplier = Multiplier(lam, rate=1e-9)
    summed = [
        part("q", "floor", w, at_least=0.5),
        part("a"),
        part("c", "constraint", at_least=0.5, multiplier=multiplier),
    ]
    (whole,) = combine(summed, q=[q], a=[a], c=[c])
    (gated,) = combine([*summed, part("g", "gate", 0.7)], q=[q], a=[a], c=[c], g=[g])
    (least,) = combine(summed, [""], q=[q], a=[a], c=[c])
    assert whole is not None
    assert gated is not None
    assert least is not None
    assert least - 1e-9 <= gated <= whole + 1e-9
    assert whole <= w + 1 + lam * 0.5 + 1e-9


@given(low=st.floats(0, 0.49), high=st.floats(0.5, 1), a=units, b=units)
def test_above_a_floor_beats_below_it_whatever_else(low: float, high: float, a: float, b: float) -> None:
    below, above = combine([part("q", "floor", at_least=0.5), part("a")], q=[low, high], a=[a, b])
    assert below is not None
    assert above is not None
    assert above > below


def test_the_multiplier_learns_in_training_alone() -> None:
    learned = Multiplier(1.0, rate=0.5)
    combined = Combined((part("q"), part("c", "constraint", at_least=0.8, multiplier=learned)))
    told: list[tuple[str, float]] = []

    def log(name: str, value: float) -> None:
        told.append((name, value))

    row = {"q": [0.0, 0.0], "c": [0.2, 0.4]}
    combined(["a", "b"], **row, is_evaluation=[True, True], log_metric=log)
    assert learned.value == 1.0
    combined(["a", "b"], **row, is_evaluation=[False, False], log_metric=log)
    assert learned.value == pytest.approx(1.25)
    combined(["a", "b"], **row, is_failed=[False, True])  # what failed was not written by the policy
    assert learned.value == pytest.approx(1.55)
    combined(["a", "b"], q=[0.0, 0.0], c=[None, None])
    assert learned.value == pytest.approx(1.55)
    means = [("reward_parts/q", 0.0), ("reward_parts/c", pytest.approx(0.3)), ("reward_parts/c_multiplier", 1.0)]
    assert told == means * 2


def test_the_multiplier_falls_while_the_constraint_holds_and_stays_in_bounds() -> None:
    learned = Multiplier(1.0, rate=1.0, highest=2.0)
    for _ in range(50):
        learned.update(1.0, 0.5)
    assert learned.value == 0.0
    for _ in range(50):
        learned.update(0.0, 0.5)
    assert learned.value == 2.0
    for wrong in ({"value": -1.0}, {"value": 3.0, "highest": 2.0}, {"rate": 0.0}, {"highest": 0.0, "value": 0.0}):
        with pytest.raises(ValueError, match="multiplier"):
            Multiplier(**wrong)


def test_a_multiplier_goes_on_where_it_was() -> None:
    specs = [spec("repetition"), spec("finished", role="constraint", weight=3.0, at_least=0.9)]
    first, second = build_combined(specs), build_combined(specs)
    first(["no end"])
    state = json.loads(json.dumps({name: memory.state_dict() for name, memory in first.stateful().items()}))
    assert state == {"finished_multiplier": {"value": pytest.approx(3.09)}}
    for name, memory in second.stateful().items():
        memory.load_state_dict(state[name])
    assert second(["no end"]) == first(["no end"])
    assert pickle.loads(pickle.dumps(first)).stateful()["finished_multiplier"].value > 3  # noqa: S301


def test_a_floor_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at_least"):
        part("q", "floor")


@pytest.mark.parametrize(
    ("returned", "match"),
    [
        ([0.5], "1 values for 2"),
        ([0.5, float("nan")], "nan, not a finite"),
        ([0.5, "1"], "'1', not a finite"),
        (3, "raised"),
    ],
)
def test_what_a_reward_may_not_return(returned: Any, match: str) -> None:
    combined = Combined((Part("mine", lambda completions, **_: returned, 1.0, "reward"),))
    with pytest.raises(RewardError, match=match):
        combined(["a", "b"])


@pytest.mark.parametrize(
    ("item", "match"),
    [
        ("{name: accuracy, role: floor}", "at_least is needed with role = floor"),
        ("{name: accuracy, at_least: 0.8}", "at_least has no effect with role = reward"),
        ("{name: accuracy, role: floor, at_least: 0.8, weight: 0}", "weight of a floor is above 0"),
        ("{name: accuracy, role: constraint, at_least: 0.8, weight: 11}", "lies between 0 and highest_multiplier"),
        ("{name: accuracy, multiplier_rate: 0.2}", "multiplier_rate has no effect"),
        ("{name: accuracy, role: constraint, at_least: 0.8}", "there are only gates"),
        (
            "{name: accuracy, args: {answer: lastnumber}}",
            "marked or last_number, found 'lastnumber'; did you mean last_num",
        ),
        ("{name: surrogate, args: {max_tokens: 1.5}}", "surrogate.max_tokens is a whole number, found 1.5"),
        ("{name: surrogate, args: {max_tokens: true}}", "whole number, found True"),
        ("{name: surrogate, args: {p: half}}", "surrogate.p is a finite number or measured, found 'half'"),
        ("{name: think_format, args: {opened_by_prompt: 1}}", "true or false, found 1"),
        ("{name: language, args: {language: 3}}", "text or null, found 3"),
        ("{name: dler, args: {easy_limit: few}}", "a whole number or null, found 'few'"),
        (
            "{name: band, role: reward}, {name: alp, as: b}, {name: finished, role: gate}",
            "rewards.b  has no lowest value",
        ),
    ],
)
def test_faults_of_the_rewards_of_a_recipe(tmp_path: Path, item: str, match: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"rewards: [{item}]\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert match in str(caught.value)


def test_a_recipe_with_every_role(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "rewards:\n"
        "- {name: band}\n"
        "- {name: finished, role: gate, weight: 0.5}\n"
        "- {name: accuracy, role: floor, at_least: 1, args: {answer: last_number}}\n"
        "- {name: repetition, role: constraint, at_least: 0.9, weight: 0, multiplier_rate: 0.5}\n"
    )
    config = load_config(path)
    combined = build_combined(config.rewards)
    assert [p.role for p in combined.parts] == ["reward", "gate", "floor", "constraint"]
    assert combined(["It is 4."], target=[3], answer=["4"]) == [pytest.approx(2.0)]
    assert combined.stateful()["repetition_multiplier"].value == 0.0


def test_missing_columns_are_known_before_anything_runs() -> None:
    specs = [spec("accuracy"), spec("o1_pruner", label="pruner"), spec("band")]
    assert missing_columns(specs, ["prompt", "answer"]) == {"pruner": ["reference_tokens", "reference_accuracy"]}
    assert missing_columns(specs[:1], ["prompt"]) == {"accuracy": ["answer"]}
    assert missing_columns(specs[2:], ["prompt"]) == {}


def test_rewards_are_described_with_their_arguments() -> None:
    found = {info.name: info for info in list_rewards()}
    assert found["kimi"].scope == "group"
    assert (found["kimi"].lowest, found["kimi"].highest) == (-0.5, 1.5)
    assert found["alp"].lowest is None
    assert found["accuracy"].columns == ("answer",)
    by_name = {argument.name: argument for argument in describe_reward("surrogate").arguments}
    assert by_name["shape"].kind == "quadratic or polyline"
    assert by_name["p"].default == 0.5
    assert by_name["max_tokens"].doc.startswith("L_max; set it")
    undocumented = [f"{info.name}.{a.name}" for info in found.values() for a in info.arguments if not a.doc]
    assert undocumented == []
    with pytest.raises(ValueError, match="did you mean kimi"):
        describe_reward("kimmi")


@dataclass(frozen=True)
class Needy:
    """Has a field without a default, and one that only a program can give."""

    needed: int
    judge: Any = field(default=None, repr=False)


def test_a_reward_is_built_without_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: object) -> str:
        raise AssertionError("reading the source costs more than a reward")

    monkeypatch.setattr("inspect.getsource", read)
    assert type(build_reward("band", {"tolerance": 0.2})).__name__ == "BandReward"


def test_an_argument_without_default_is_asked_for() -> None:
    check_arguments("needy", Needy, {"needed": 3})
    assert [(argument.name, argument.is_needed) for argument in arguments_of(Needy)] == [("needed", True)]
    with pytest.raises(ValueError, match="needy needs the argument needed"):
        check_arguments("needy", Needy, {})
    with pytest.raises(ValueError, match="needy has no argument 'judge'"):
        check_arguments("needy", Needy, {"needed": 3, "judge": "mine"})
