"""Answers, formats, surrogates and measures of the text: golden values, edge cases, real completions."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.degeneration import longest_repeat, repetition
from lengthctl.rewards.accuracy import AccuracyReward, last_number
from lengthctl.rewards.answer_format import AnswerFormatReward, Marker
from lengthctl.rewards.build import Reward, build_reward
from lengthctl.rewards.correctness import check_answers, correct_column
from lengthctl.rewards.surrogate import SurrogateReward

GOLDEN_DIR = Path(__file__).parents[2] / "golden"
GOLDEN = json.loads((GOLDEN_DIR / "surrogate.json").read_text())["cases"]
REPEATS = json.loads((GOLDEN_DIR / "repeats.json").read_text())["cases"]
DATA = os.environ.get("LENGTHCTL_DATA")


def score(reward: Reward, text: Any, **columns: Any) -> float | None:
    """Of one completion."""
    (value,) = reward(completions=[text], **{name: [column] for name, column in columns.items()})
    return value


@pytest.mark.parametrize("name", ["A1", "A2", "A4"])
def test_golden_length_term(name: str) -> None:
    given_, shape = GOLDEN[name]["inputs"], "polyline" if name == "A4" else "quadratic"
    reward = SurrogateReward(max_tokens=given_["l_max"], p=given_.get("p", 0.5), shape=shape)  # type: ignore[arg-type]
    assert [reward.length_term(n) for n in given_["lengths"]] == pytest.approx(GOLDEN[name]["expected"], abs=1e-9)


def test_golden_beyond_the_limit() -> None:
    case = GOLDEN["A3"]["inputs"]
    reward = SurrogateReward(max_tokens=case["l_max"], p=case["p"])
    assert reward.length_term(case["length"]) == GOLDEN["A3"]["expected"]["own"]


@pytest.mark.parametrize("variant", ["paper", "repo"])
def test_golden_total(variant: str) -> None:
    case = GOLDEN[f"A5-{variant}"]
    reward = build_reward("surrogate", {"variant": variant, "max_tokens": 3072, "p": 0.5})
    assert isinstance(reward, SurrogateReward)
    for (has_format, tokens), expected in zip(case["inputs"]["rows"], case["expected"], strict=True):
        assert reward.total(has_format, tokens) == pytest.approx(expected, abs=1e-9)
        text = "so \\boxed{x^2}" if has_format else "so \\boxed{x +* 2}"
        assert score(reward, text, completion_ids=[1] * tokens) == pytest.approx(expected, abs=1e-9)


def test_surrogate_counts_a_block_of_thinking_in_the_code_variant_alone() -> None:
    text, ids = "<think>So.</think> \\boxed{1}", [0] * 1536
    assert score(SurrogateReward(variant="repo"), text, completion_ids=ids) == 2.0
    assert score(SurrogateReward(variant="repo"), "So. \\boxed{1}", completion_ids=ids) == 1.5
    assert score(SurrogateReward(), text, completion_ids=ids) == 2.0


def test_surrogate_of_what_was_cut_and_of_nothing() -> None:
    reward = SurrogateReward(max_tokens=100)
    assert score(reward, "still at it", completion_ids=[0] * 100) == -1.0
    assert score(reward, "", completion_ids=[]) == 0.0
    assert score(reward, "an answer in <think> \\boxed{1}", completion_ids=[0] * 50) == 0.0


@given(n=st.integers(0, 5000), p=st.floats(0.05, 0.95), has_format=st.booleans())
def test_surrogate_is_bounded_and_prefers_format(n: int, p: float, has_format: bool) -> None:
    reward = SurrogateReward(max_tokens=3072, p=p)
    assert -1 <= reward.length_term(n) <= 1
    assert -1 <= reward.total(has_format, n) <= 2
    assert reward.total(True, n) > reward.total(False, n)
    assert reward.length_term(round(p * 3072)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("args", [{"p": 0.0}, {"p": 1.0}, {"max_tokens": 0}, {"shape": "polyline", "p": 0.4}])
def test_surrogate_refuses_what_is_undefined(args: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"found 0|p between|p = 0.5"):
        build_reward("surrogate", args)


def test_surrogate_is_told_where_it_peaks_before_it_is_asked() -> None:
    reward = build_reward("surrogate", {"p": "measured"})
    with pytest.raises(ValueError, match="give a number"):
        score(reward, "\\boxed{1}", completion_ids=[1])
    with pytest.raises(ValueError, match="a finite number or measured, found 'mesured'; did you mean measured"):
        build_reward("surrogate", {"p": "mesured"})


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("I get \\boxed{4}", "4", 1.0),
        ("I get \\boxed{5}", "4", 0.0),
        ("#### 1,000", 1000, 1.0),
        ("The answer is 4.", 4.0, 1.0),
        ("4", "4", 0.0),
        ("<think>\\boxed{4}", "4", 0.0),
        ("", "4", 0.0),
        ("\\boxed{4}", None, None),
        ("\\boxed{4}", " ", None),
        ([{"role": "assistant", "content": "\\boxed{4}"}], "4", 1.0),
        ("\\boxed{" + "(" * 400 + "}", "4", 0.0),
    ],
)
def test_accuracy(text: Any, answer: object, expected: float | None) -> None:
    assert score(AccuracyReward(), text, answer=answer) == expected


def test_an_answer_in_reasoning_that_the_prompt_opened_does_not_count() -> None:
    assert score(AccuracyReward(), "so \\boxed{4}", answer="4", prompts="Think.\n<think>\n") == 0.0
    begun = [{"role": "user", "content": "Think."}, {"role": "assistant", "content": "<think>"}]
    assert score(AccuracyReward(), "so \\boxed{4}", answer="4", prompts=begun) == 0.0
    assert score(AccuracyReward(), "so </think> \\boxed{4}", answer="4", prompts=begun) == 1.0
    assert score(AccuracyReward(), "so \\boxed{4}", answer="4", prompts=begun[:1]) == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("none here", None),
        ("3 and 4.", "4"),
        ("10-7=3", "3"),
        ("it is -7", "-7"),
        ("10-7", "7"),
        ("$1,234.50 in all", "1,234.50"),
        ("about 3/4 of it", "3/4"),
        ("12,34", "34"),
        ("2x", "2"),
        ("<think>9", "9"),
    ],
)
def test_last_number(text: str, expected: str | None) -> None:
    assert last_number(text) == expected


def test_accuracy_without_format() -> None:
    reward = build_reward("accuracy", {"answer": "last_number"})
    assert score(reward, "so 3 + 4 makes 7.0", answer="7") == 1.0
    assert score(reward, "7, no: 8", answer="7") == 0.0
    assert score(reward, "seven", answer="7") == 0.0


@pytest.mark.parametrize("text", ["1," * 50_000, "1" * 100_000, "123," * 25_000 + "1234", "-" * 100_000, "1/" * 50_000])
def test_last_number_takes_no_time(text: str) -> None:
    started = time.perf_counter()
    last_number(text)
    assert time.perf_counter() - started < 1


def test_a_given_column_of_checks_is_believed() -> None:
    assert correct_column(["a", "b", "c"], {"is_correct": [True, 0, None], "answer": ["b"] * 3}) == [True, False, None]


def test_what_correctness_needs_is_named() -> None:
    for columns, match in (
        ({}, "the column answer is missing; give each prompt"),
        ({"answer": None}, "the column answer is missing"),
        ({"answer": ["1"]}, "answer has 1 rows for 2"),
        ({"is_correct": [True]}, "is_correct has 1 rows for 2"),
        ({"answer": [["1"], "2"]}, "text or numbers"),
        ({"answer": [True, "2"]}, "text or numbers"),
    ):
        with pytest.raises(ValueError, match=match):
            correct_column(["a", "b"], columns)
    assert correct_column([], {"answer": []}) == []


def test_the_share_of_failed_checks_is_logged() -> None:
    told: list[tuple[str, float]] = []
    columns = {"answer": ["1", "2", None], "log_metric": lambda *pair: told.append(pair)}
    assert check_answers(["1", "(" * 99, "3"], columns) == [True, False, None]
    assert told == [("unchecked_answers", 0.5)]


@pytest.mark.parametrize(
    ("text", "marker", "expected"),
    [
        ("\\boxed{\\frac{1}{2}}", "any", 1.0),
        ("\\boxed{\\frac{1}{2}}", "boxed", 1.0),
        ("\\boxed{\\frac{1}{2}}", "hashes", 0.0),
        ("#### 42", "hashes", 1.0),
        ("#### 42", "boxed", 0.0),
        ("The answer is 42.", "answer_line", 1.0),
        ("The answer is 42.", "any", 1.0),
        ("\\boxed{}", "any", 0.0),
        ("\\boxed{x +* 2}", "any", 0.0),
        ("\\boxed{(0,1 }", "any", 0.0),
        ("42", "any", 0.0),
        ("<think>\\boxed{1}", "any", 0.0),
        ("<think>\\boxed{1}</think> so \\boxed{2}", "any", 1.0),
        ("", "any", 0.0),
    ],
)
def test_answer_format(text: str, marker: Marker, expected: float) -> None:
    assert score(AnswerFormatReward(marker), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>Hm.</think>42", 1.0),
        (" \n<think>\nHm.\n</think>\n\n42", 1.0),
        ("<think>Hm.</think>", 0.0),
        ("<think> </think>42", 0.0),
        ("<think>Hm.", 0.0),
        ("Hm.</think>42", 0.0),
        ("Well: <think>Hm.</think>42", 0.0),
        ("<think>Hm.</think>42<think>no</think>", 0.0),
        ("<think><think>Hm.</think>42", 0.0),
        ("<think>Hm.</think>42</think>", 0.0),
        ("42", 0.0),
        ("", 0.0),
    ],
)
def test_think_format(text: str, expected: float) -> None:
    assert score(build_reward("think_format", {}), text) == expected


def test_think_format_where_the_prompt_opens() -> None:
    opened = build_reward("think_format", {"opened_by_prompt": True})
    assert score(opened, "Hm.</think>42") == 1.0
    assert score(opened, "<think>Hm.</think>42") == 0.0
    assert score(build_reward("think_format", {}), "Hm.</think>42", prompts="Q\n<think>\n") == 1.0


@pytest.mark.parametrize(
    ("text", "keywords", "expected"),
    [
        ("The river ran to the Sea.", ["sea", "RIVER"], 1.0),
        ("The season began.", ["sea"], 0.0),
        ("the sea, then", ["sea", "hill"], 0.5),
        ("sea sea sea", ["sea", "hill"], 0.5),
        ("machine\n learning", ["machine learning"], 1.0),
        ("Stra\u00dfe", ["STRASSE"], 1.0),
        ("caf\u00e9", ["cafe\u0301"], 1.0),
        ("\uff33\uff25\uff21", ["sea"], 1.0),
        ("\u79c1\u306f\u6d77\u306b\u884c\u304f", ["\u6d77"], 1.0),
        ("C++ and C", ["c++"], 1.0),
        ("", ["sea"], 0.0),
        ("sea", [], None),
        ("sea", None, None),
    ],
)
def test_keywords(text: str, keywords: list[str] | None, expected: float | None) -> None:
    assert score(build_reward("keywords", {}), text, keywords=keywords) == expected


@pytest.mark.parametrize("row", ["sea", ["sea", " "], ["sea", 3]])
def test_keywords_that_are_no_list_of_texts(row: Any) -> None:
    with pytest.raises(ValueError, match="a list of texts"):
        score(build_reward("keywords", {}), "sea", keywords=row)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("All of it.", "en", 1.0),
        ("na\u00efve \u00e6on", "fr", 1.0),
        ("\u0434\u0430 no", "ru", 0.5),
        ("\u79c1\u306f\u30ab\u30e1\u30e9", "ja", 1.0),
        ("\u79c1\u306f", "zh", 0.5),
        ("\ub124 ok", "ko-KR", 1 / 3),
        ("\u0434\u0430", "cyrillic", 1.0),
        ("123 !?", "en", 0.0),
        ("", "en", 0.0),
        ("All of it.", None, None),
    ],
)
def test_language(text: str, language: str | None, expected: float | None) -> None:
    assert score(build_reward("language", {}), text, language=language) == pytest.approx(expected)


def test_language_of_all_rows() -> None:
    reward = build_reward("language", {"language": "de"})
    assert score(reward, "Alles.") == 1.0
    assert score(reward, "Alles.", language="ru") == 0.0
    with pytest.raises(ValueError, match="no language or script"):
        build_reward("language", {"language": "klingon"})


def test_golden_repeats() -> None:
    texts = [" ".join(map(str, ids)) for ids in REPEATS["D3-repeat"]["inputs"]["ids"]]
    assert [longest_repeat(text) for text in texts] == pytest.approx(REPEATS["D3-repeat"]["expected"])
    assert [repetition(text, 2) for text in texts] == pytest.approx(REPEATS["D3-ngram"]["expected"])
    reward = build_reward("loops", {"allowed": 0.0, "ramp": 1.0})
    assert list(reward(completions=texts)) == pytest.approx([1 - share for share in REPEATS["D3-repeat"]["expected"]])


def test_loops_has_an_allowance_and_a_ramp() -> None:
    reward = build_reward("loops", {"allowed": 0.5, "ramp": 0.25})
    assert score(reward, "a b a b") == 1.0  # 2 of 4 words
    assert score(reward, "a b c a b c a b c") == pytest.approx(1 / 3)  # 6 of 9
    assert score(reward, "a a a a a a") == 0.0


def test_random_knows_nothing_but_can_be_repeated() -> None:
    reward, texts = build_reward("random", {}), [f"text {n}" for n in range(2000)]
    first, again = list(reward(completions=texts)), list(reward(completions=texts))
    known = [value for value in first if value is not None]
    assert first == again
    assert all(0 <= value < 1 for value in known)
    assert abs(sum(known) / len(known) - 0.5) < 0.03
    same = list(reward(completions=["text"] * 4))
    assert len(set(same)) == 4
    other = build_reward("random", {"seed": 1})
    later = reward(completions=texts, trainer_state=SimpleNamespace(global_step=1))
    assert len({*first, *other(completions=texts), *later}) > 5990


FILES = ("step0_base", "step15_correctness", "step15_format_length", "step15_format_only")
VALID = {"step0_base": 492, "step15_correctness": 572, "step15_format_length": 589, "step15_format_only": 582}
"""Responses of 613 with a valid boxed answer, as we find them: a change is to be looked at."""


@pytest.mark.skipif(DATA is None, reason="LENGTHCTL_DATA is not set")
@pytest.mark.parametrize("name", FILES)
def test_format_and_surrogate_on_real_completions(name: str) -> None:
    path = Path(str(DATA)) / "rl_without_gt_rollouts" / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts, upstream = [row["response"] for row in rows], [row["score"] == 1.0 for row in rows]
    has_format = [value == 1.0 for value in AnswerFormatReward("boxed")(texts)]
    right_without = [row["problem_id"] for row, right, ok in zip(rows, upstream, has_format, strict=True) if right > ok]
    assert right_without == []  # what its grader finds right has a format that is right
    assert abs(sum(has_format) - VALID[name]) <= 2
    lengths = [len(text) // 3 for text in texts]  # tokens, roughly
    values = SurrogateReward()(texts, completion_ids=[range(n) for n in lengths])
    sums = {True: 0.0, False: 0.0}
    for ok, value in zip(has_format, values, strict=True):
        assert value is not None
        assert (0 <= value <= 2) if ok else (-1 <= value <= 0)
        sums[ok] += value
    assert sums[True] / sum(has_format) > sums[False] / (len(rows) - sum(has_format))
