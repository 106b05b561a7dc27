"""Signs of a gamed reward: each fires on a series that shows it, none on noise, none without a rising reward."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.hacking import SIGNS, WINDOW, Finding, HackingSigns, find_hacking

Ends = Mapping[str, tuple[float, float]]
STEADY: Ends = {
    "text/repetition": (0.05, 0.05),
    "text/longest_repeat": (0.02, 0.02),
    "text/unfinished_fraction": (0.2, 0.2),
    "text/count_claim_fraction": (0.02, 0.02),
    "text/markup_fraction": (0.01, 0.01),
    "text/blank_line_fraction": (0.3, 0.3),
    "text/mean_word_length": (4.7, 4.7),
    "text/reasoning_words": (200, 200),
    "text/answer_words": (100, 100),
    "completions/mean_length": (300, 300),
    "pairwise/length_slope": (0.1, 0.1),
    "adherence/words/mean_abs_relative_deviation": (0.3, 0.3),
    "answers/correct_fraction": (0.4, 0.4),
    "tokens/correct": (200, 200),
    "tokens/wrong": (300, 300),
}
GAMED: dict[str, Ends] = {
    "repetition": {"text/repetition": (0.05, 0.2)},
    "loops": {"text/longest_repeat": (0.02, 0.15)},
    "cut endings": {"text/unfinished_fraction": (0.2, 0.6)},
    "length away from its target": {"adherence/words/mean_abs_relative_deviation": (0.3, 0.6)},
    "judge by length": {"completions/mean_length": (300, 500), "pairwise/length_slope": (0.8, 1.2)},
    "markup": {"text/markup_fraction": (0.01, 0.09)},
    "count claims": {"text/count_claim_fraction": (0.02, 0.5)},
    "blank lines": {"text/blank_line_fraction": (0.3, 0.6)},
    "odd words": {"text/mean_word_length": (4.7, 3.0)},
    "thinking shifted": {"text/reasoning_words": (200, 60), "text/answer_words": (100, 240)},
    "early stop on hard prompts": {"tokens/wrong": (300, 120)},
    "reward without answers": {"answers/correct_fraction": (0.4, 0.2)},
}


def series(ends: Ends, steps: int = 60, noise: float = 0.1, seed: int = 0) -> list[dict[str, Any]]:
    """Records of a run whose metrics go straight from one value to another, with noise relative to the first."""
    draw = random.Random(seed)
    return [
        {
            "step": step,
            "split": "train",
            **{
                key: start + (end - start) * step / steps + draw.gauss(0, noise * abs(start))
                for key, (start, end) in ends.items()
            },
        }
        for step in range(1, steps + 1)
    ]


RISING: Ends = {"reward": (0.2, 0.9)}


def causes(found: list[Finding]) -> list[str]:
    return [finding.cause for finding in found]


def test_every_sign_has_a_series() -> None:
    assert set(GAMED) == {sign.cause for sign in SIGNS}


@pytest.mark.parametrize("cause", GAMED)
def test_a_gamed_run_is_named_once_with_what_to_do(cause: str) -> None:
    found = find_hacking(series({**STEADY, **RISING, **GAMED[cause]}, steps=200))
    assert causes(found) == [cause]
    assert 2 * WINDOW <= found[0].step <= 200
    assert "the reward rose while" in str(found[0])
    assert found[0].remedy
    assert found[0].remedy in str(found[0])


@pytest.mark.parametrize("cause", GAMED)
def test_without_a_rising_reward_nothing_is_gamed(cause: str) -> None:
    for reward in ((0.5, 0.5), (0.9, 0.2)):
        assert find_hacking(series({**STEADY, "reward": reward, **GAMED[cause]}, steps=200)) == []


def test_a_run_that_learns_what_it_should_shows_nothing() -> None:
    better = {
        "adherence/words/mean_abs_relative_deviation": (0.6, 0.1),
        "text/repetition": (0.2, 0.02),
        "answers/correct_fraction": (0.3, 0.7),
        "completions/mean_length": (400, 150),  # shorter, and no judge that likes it
        "tokens/correct": (300, 150),
        "tokens/wrong": (450, 225),
    }
    assert find_hacking(series({**STEADY, **RISING, **better}, steps=200)) == []


def test_noise_is_no_sign() -> None:
    """Forty runs of 300 steps whose measures swing by as much as the margins."""
    margins = {"text/repetition": 0.05, "text/unfinished_fraction": 0.15, "text/markup_fraction": 0.03}
    found = []
    for seed in range(40):
        draw = random.Random(seed)
        records = [
            {"step": step, "split": "train", "reward": step / 300}
            | {key: draw.gauss(0.5, margin) for key, margin in margins.items()}
            for step in range(1, 301)
        ]
        found += find_hacking(records)
    assert causes(found) == []


def test_a_judge_that_prefers_the_other_way_is_not_to_blame() -> None:
    shorter = {"completions/mean_length": (500, 250), "pairwise/length_slope": (1.0, 1.0)}
    assert find_hacking(series({**STEADY, **RISING, **shorter}, steps=200)) == []
    liked = {"completions/mean_length": (500, 250), "pairwise/length_slope": (-1.0, -1.0)}
    assert causes(find_hacking(series({**STEADY, **RISING, **liked}, steps=200))) == ["judge by length"]


@pytest.mark.parametrize(("r", "found"), [(0.6, ["judge by length"]), (0.1, []), (-0.6, [])])
def test_grades_that_go_with_length_are_a_judge_by_length(r: float, found: list[str]) -> None:
    longer = {"completions/mean_length": (300, 500), "judge/length_correlation": (r, r)}
    assert causes(find_hacking(series({**STEADY, **RISING, **longer}, steps=200))) == found


def test_a_steady_small_change_stays_below_the_margin() -> None:
    assert find_hacking(series({**RISING, "text/repetition": (0.05, 0.08)}, steps=200, noise=0.0)) == []


def test_nothing_is_said_before_two_windows() -> None:
    records = series({**RISING, "text/repetition": (0.05, 0.9)}, steps=2 * WINDOW, noise=0.0)
    assert find_hacking(records[:-1]) == []
    assert causes(find_hacking(records)) == ["repetition"]


@pytest.mark.parametrize("odd", [None, float("nan"), float("inf"), "text", [1.0]])
def test_what_is_no_number_is_passed_over(odd: Any) -> None:
    records = series({**RISING, "text/repetition": (0.05, 0.3)})
    for record in records[::3]:
        record["text/repetition"] = odd
    assert causes(find_hacking(records)) == ["repetition"]
    for record in records:
        record["reward"] = odd
    assert find_hacking(records) == []


def test_evaluations_do_not_count() -> None:
    records = series({**RISING, "text/repetition": (0.05, 0.3)})
    assert find_hacking([{**record, "split": "eval"} for record in records]) == []


MAPS: list[Callable[[float], float]] = [lambda x: 3 * x, lambda x: x + 100, lambda x: x / 1000 - 5]


@settings(max_examples=20)
@given(st.sampled_from(MAPS), st.integers(0, 20))
def test_the_scale_of_the_reward_does_not_matter(change: Callable[[float], float], seed: int) -> None:
    records = series({**STEADY, **RISING, "text/repetition": (0.05, 0.3)}, seed=seed)
    other = [{**record, "reward": change(record["reward"])} for record in records]
    assert find_hacking(records) == find_hacking(other)


def test_the_log_step_by_step_is_the_log_as_a_whole() -> None:
    records = series({**STEADY, **RISING, "text/repetition": (0.05, 0.3)})
    signs = HackingSigns()
    assert [f for r in records for f in signs.look(r["step"], r)] == find_hacking(records)
