"""What every registered reward keeps, whatever it measures: a new one is tested by being registered."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.judging import LONGBENCH_WRITE
from lengthctl.judging_pairs import Pair, PairScores
from lengthctl.length import Target
from lengthctl.rewards import load_rewards
from lengthctl.rewards.build import Reward, build_reward
from lengthctl.rewards.submissions import Submission

NAMES = load_rewards()
BY_PLACE = {"random"}
"""Values that depend on the place in the group: drawn by it, as their docstrings say."""
TEXTS = (
    "",
    "\\boxed{4}",
    "<think>Two and two.</think> So the answer is \\boxed{4}.",
    "<think>Still at it: two, and two",
    "I get \\boxed{5}. " * 20,
    "word " * 400,
)
COLUMNS: Mapping[str, Any] = {
    "answer": "4",
    "target": Target(20).to_row(),
    "level": "short",
    "reference_tokens": 300.0,
    "reference_accuracy": 0.5,
    "keywords": ["answer"],
    "language": "en",
    "better": "a",
}
"""A value for every column that a reward may declare in `columns`."""

EXAMPLES = settings(max_examples=settings.default.max_examples // 3)
"""Few, as the texts are six and the rewards many."""

Row = dict[str, Any]


def row(group: int, text: str, tokens: int, is_truncated: bool = False) -> Row:
    """A completion with what TRL and our trainer know of it."""
    made = {"completions": text, "completion_ids": [7] * tokens, "prompts": f"prompt {group}"}
    return {**made, "group": group, "prompt_id": f"p{group}", "is_truncated": is_truncated, **COLUMNS}


def call(reward: Reward, rows: Sequence[Row], leave_out: Sequence[str] = ()) -> list[float | None]:
    """With TRL's own extras."""
    names = [name for name in row(0, "", 0) if name not in leave_out]
    columns = {name: [made[name] for made in rows] for name in names}
    state = SimpleNamespace(global_step=3)
    return list(reward(**columns, trainer_state=state, log_metric=lambda *_: None, log_extra=lambda *_: None))


def prefer_longer(questions: Sequence[Pair | Submission]) -> list[PairScores | dict[str, float]]:
    """A judge of pairs, and of single texts by the default rubric."""
    return [
        PairScores(min(len(one.a), 10), min(len(one.b), 10))
        if isinstance(one, Pair)
        else dict.fromkeys(LONGBENCH_WRITE.names, min(len(one.text), 5))
        for one in questions
    ]


def fresh(name: str) -> Any:
    """With default arguments, and a judge where one is needed."""
    reward: Any = build_reward(name, {})
    return dataclasses.replace(reward, judge=prefer_longer) if hasattr(reward, "judge") else reward


def scope(name: str) -> str:
    return str(getattr(fresh(name), "scope", "completion"))


def check(name: str, values: Sequence[float | None], count: int) -> None:
    """One value a completion, inside the declared bounds."""
    reward = fresh(name)
    assert len(values) == count
    for value in values:
        if value is not None:
            assert isinstance(value, float)
            assert math.isfinite(value)
            assert reward.lowest - 1e-9 <= value <= reward.highest + 1e-9


def batches(groups: int = 3) -> st.SearchStrategy[list[list[Row]]]:
    """Up to three prompts with up to four completions each."""
    member = st.tuples(st.sampled_from(TEXTS), st.integers(0, 3000), st.booleans())
    drawn = st.lists(st.lists(member, min_size=1, max_size=4), min_size=1, max_size=groups)
    return drawn.map(lambda groups: [[row(place, *m) for m in members] for place, members in enumerate(groups)])


def flat(groups: Sequence[Sequence[Row]]) -> list[Row]:
    return [made for group in groups for made in group]


def same(values: Sequence[float | None], others: Sequence[float | None]) -> bool:
    """Equal but for rounding, and None at the same places."""
    return list(values) == pytest.approx(list(others), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_declares_range_and_scope(name: str) -> None:
    reward = fresh(name)
    assert reward.lowest < reward.highest
    assert scope(name) in ("completion", "group", "batch")
    assert all(isinstance(column, str) for column in getattr(reward, "columns", ()))
    assert (type(reward).__doc__ or "").strip()


@pytest.mark.parametrize("name", NAMES)
@EXAMPLES
@given(groups=batches())
def test_one_bounded_value_a_completion(name: str, groups: list[list[Row]]) -> None:
    rows = flat(groups)
    check(name, call(fresh(name), rows), len(rows))


@pytest.mark.parametrize("name", NAMES)
def test_works_in_plain_trl_with_the_columns_it_declares(name: str) -> None:
    reward = fresh(name)
    needed = getattr(reward, "columns", ())
    left_out = {"group", "prompt_id", "is_truncated", *COLUMNS} - {"target", *needed}
    rows = [row(place // 2, text, 5 * place) for place, text in enumerate(TEXTS)]
    check(name, call(reward, rows, sorted(left_out)), len(rows))


@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_it_declares_is_missed_by_name(name: str) -> None:
    for column in getattr(fresh(name), "columns", ()):
        with pytest.raises(ValueError, match=f"column {column} "):
            call(fresh(name), [row(0, TEXTS[1], 5)], [column])


@pytest.mark.parametrize("name", [name for name in NAMES if "answer" in getattr(fresh(name), "columns", ())])
def test_a_row_without_answer_is_left_out(name: str) -> None:
    rows = [row(0, text, 5) for text in TEXTS]
    rows[1]["answer"] = None
    values = call(fresh(name), rows)
    assert values[1] is None
    assert None not in values[2:]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[1], TEXTS[4]], ids=["empty", "right", "wrong"])
@pytest.mark.parametrize("size", [1, 4])
def test_all_alike(name: str, text: str, size: int) -> None:
    values = call(fresh(name), [row(0, text, 9) for _ in range(size)])
    check(name, values, size)
    if name not in BY_PLACE:
        assert same(values, [values[0]] * size)


@pytest.mark.parametrize("name", NAMES)
def test_all_cut_by_the_limit(name: str) -> None:
    values = call(fresh(name), [row(0, TEXTS[3], 90, is_truncated=True) for _ in range(4)])
    check(name, values, 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_giant_text_is_one_value(name: str) -> None:
    rows = [row(0, "(" * 50_000 + "word " * 100_000 + "\\boxed{4}", 200_000), row(0, TEXTS[1], 3)]
    check(name, call(fresh(name), rows), 2)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BY_PLACE])
@EXAMPLES
@given(groups=batches(), seed=st.integers(0, 99))
def test_the_order_within_a_group_does_not_matter(name: str, groups: list[list[Row]], seed: int) -> None:
    dice = random.Random(seed)
    orders = [dice.sample(range(len(group)), len(group)) for group in groups]
    shuffled = [[group[place] for place in order] for group, order in zip(groups, orders, strict=True)]
    starts = [sum(len(group) for group in groups[:place]) for place in range(len(groups))]
    places = [start + place for start, order in zip(starts, orders, strict=True) for place in order]
    values = call(fresh(name), flat(groups))
    assert same(call(fresh(name), flat(shuffled)), [values[place] for place in places])


@pytest.mark.parametrize("name", [name for name in NAMES if scope(name) != "batch"])
@EXAMPLES
@given(groups=batches(), others=batches())
def test_a_value_does_not_depend_on_other_groups(name: str, groups: list[list[Row]], others: list[list[Row]]) -> None:
    first, rest = groups[0], others[1:]
    alone = call(fresh(name), first)
    assert same(call(fresh(name), flat([first, *rest]))[: len(first)], alone)


@pytest.mark.parametrize("name", [name for name in NAMES if scope(name) == "completion"])
@EXAMPLES
@given(groups=batches(groups=1), others=batches(groups=1))
def test_a_value_does_not_depend_on_its_group(name: str, groups: list[list[Row]], others: list[list[Row]]) -> None:
    own = groups[0][0]
    assert same(call(fresh(name), [own, *others[0]])[:1], call(fresh(name), [own]))


@pytest.mark.parametrize("name", NAMES)
def test_survives_pickling(name: str) -> None:
    reward = build_reward(name, {})
    assert pickle.loads(pickle.dumps(reward)) == reward  # noqa: S301


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(fresh(name), "state_dict")])
def test_memory_is_kept_in_json(name: str) -> None:
    first, second = fresh(name), fresh(name)
    rows = [row(place // 3, text, 100 * place) for place, text in enumerate(TEXTS)]
    call(first, rows)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.state_dict() == first.state_dict()
    assert first.state_dict() != fresh(name).state_dict()
    assert same(call(second, rows[3:]), call(first, rows[3:]))
