"""C3oT-Adapt: each question leaves at the strongest level that answers it, tested by models that never saw it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.conditions import COMPRESSION_LEVELS
from lengthctl.data_gen.c3ot_adapt import Trial, assign_levels

NAMES = [f"q{i}" for i in range(23)]


def solving(needs: dict[str, float]) -> tuple[list[Trial], dict[str, str | None]]:
    """Trials and result where a question is answered up to a share of its own that is left out."""
    trials: list[Trial] = []

    def answered(trial: Trial) -> list[str]:
        trials.append(trial)
        return [name for name in trial.test if COMPRESSION_LEVELS[trial.level] <= needs[name] + 1e-9]

    return trials, assign_levels(list(needs), COMPRESSION_LEVELS, answered)


def test_the_strongest_level_that_works_is_found() -> None:
    needs = {name: (0.45 + 0.1 * (i % 7)) for i, name in enumerate(NAMES)}
    trials, found = solving(needs)
    for name, share in needs.items():
        fitting = [level for level, left_out in COMPRESSION_LEVELS.items() if left_out <= share + 1e-9]
        assert found[name] == (max(fitting, key=lambda level: COMPRESSION_LEVELS[level]) if fitting else None)
    order = list(dict.fromkeys(trial.level for trial in trials))
    assert order == sorted(COMPRESSION_LEVELS, reverse=True)


def test_each_level_asks_every_open_question_once_a_seed_by_models_that_did_not_see_it() -> None:
    needs = {name: (0.45 + 0.1 * (i % 7)) for i, name in enumerate(NAMES)}
    trials, found = solving(needs)
    for level in COMPRESSION_LEVELS:
        here = [trial for trial in trials if trial.level == level]
        left = {n for n in NAMES if found[n] is None or COMPRESSION_LEVELS[found[n]] <= COMPRESSION_LEVELS[level]}
        for seed in (0, 1, 2):
            tested = [name for trial in here if trial.seed == seed for name in trial.test]
            assert sorted(tested) == sorted(left)
        for trial in here:
            assert set(trial.train) | set(trial.test) == left
            assert not set(trial.train) & set(trial.test)
    first = [trial for trial in trials if trial.level == "level_6"]
    assert len(first) == 15
    assert {len(trial.test) for trial in first} == {4, 5}
    assert len({trial.test for trial in first}) == 15, "seeds divide anew"


def test_one_right_of_three_is_enough_unless_more_are_wanted() -> None:
    def once(trial: Trial) -> tuple[str, ...]:
        return trial.test if trial.seed == 1 else ()

    assert set(assign_levels(NAMES, {"a": 0.9, "b": 0.5}, once).values()) == {"a"}
    assert set(assign_levels(NAMES, {"a": 0.9, "b": 0.5}, once, least_right=2).values()) == {None}


@given(st.integers(0, 12), st.integers(2, 6))
def test_any_number_of_questions(n: int, folds: int) -> None:
    seen: list[Trial] = []
    found = assign_levels(NAMES[:n], {"a": 0.5}, lambda trial: seen.append(trial) or trial.test, folds=folds)
    assert list(found) == NAMES[:n]
    assert set(found.values()) <= ({"a"} if n > 1 else {None})
    assert all(trial.train and trial.test for trial in seen)
    assert len(seen) == (3 * min(n, folds) if n > 1 else 0)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="did not have"):
        assign_levels(NAMES, {"a": 0.5}, lambda trial: NAMES)
    with pytest.raises(ValueError, match="twice"):
        assign_levels(["q", "q"], {"a": 0.5}, lambda trial: ())
    with pytest.raises(ValueError, match="folds"):
        assign_levels(NAMES, {"a": 0.5}, lambda trial: (), folds=1)
    with pytest.raises(ValueError, match="least_right"):
        assign_levels(NAMES, {"a": 0.5}, lambda trial: (), least_right=4)
