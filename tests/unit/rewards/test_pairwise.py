"""Pairs by a judge: golden vectors, the table of edge cases, invariants, and what the log shows of a biased judge."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.judging_pairs import Pair, PairScores, outcome
from lengthctl.rewards.pair_accuracy import PairAccuracyReward
from lengthctl.rewards.pairwise import PairwiseReward
from lengthctl.train.group_filters import teaching_groups

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "pairwise.json").read_text())
MODES = ("brpo", "winrate", "tournament")


def by_quality(quality: Callable[[str], float | None]) -> Callable[[Sequence[Pair]], list[PairScores | None]]:
    """A judge without position bias; no verdict where a quality is None."""

    def judge(pairs: Sequence[Pair]) -> list[PairScores | None]:
        found = [(quality(pair.a), quality(pair.b)) for pair in pairs]
        return [None if a is None or b is None else PairScores(a, b) for a, b in found]

    return judge


longer = by_quality(lambda text: float(len(text)))


def first_wins(pairs: Sequence[Pair]) -> list[PairScores | None]:
    return [PairScores(9, 1) for _ in pairs]


def scores(texts: Sequence[str], judge: Any, step: int = 0, columns: dict[str, Any] | None = None, **args: Any) -> Any:
    given_columns = {"prompts": ["p"] * len(texts), "trainer_state": SimpleNamespace(global_step=step)}
    return PairwiseReward(judge=judge, **args)(list(texts), **{**given_columns, **(columns or {})})


def test_golden_votes() -> None:
    for conditions, expected in zip(GOLDEN["B1"]["conditions"], GOLDEN["B1"]["expected"], strict=True):
        assert outcome([None if c is None else PairScores(*c) for c in conditions]) == expected


@pytest.mark.parametrize("name", GOLDEN["groups"])
def test_golden_groups(name: str) -> None:
    case = GOLDEN["groups"][name]
    place, verdicts = case["reference"], case["verdicts"]
    texts = [f"text {i:02}" for i in range(len(verdicts))]
    quality = {text: None if v is None else 5.0 + v for text, v in zip(texts, verdicts, strict=True)}
    quality[texts[place]] = 5.0
    drawn = (scores(texts, by_quality(quality.__getitem__), step=step) for step in range(500))
    values = next(found for found in drawn if found[place] == 0 and found == case["rewards"])
    assert abs(sum(values)) / len(values) == pytest.approx(case["skew"])
    assert teaching_groups([values], "skew", max_skew=0.6) == [case["keep"]]


def test_golden_accuracy_of_a_judge() -> None:
    said = "It keeps to the request, and the other one does not do that at all."
    verdicts = [
        f'{said}\n{{"a": {right}, "b": {wrong}}}' if fits else f'{said}\nScores: {{"a": {right}, "b": {wrong}}}'
        for fits, right, wrong in GOLDEN["B6"]["rows"]
    ]
    assert PairAccuracyReward()(verdicts, better=["a"] * 4) == GOLDEN["B6"]["expected"]


@pytest.mark.parametrize("mode", MODES)
def test_who_is_preferred_is_rewarded(mode: str) -> None:
    """The sign: another public implementation has it the wrong way round."""
    texts = ["x" * n for n in (1, 2, 3, 4)]
    for step in range(20):
        values = scores(texts, longer, step=step, mode=mode)
        assert values[3] >= values[0]
        assert values[3] in (0.0, 1.0)
        assert values[0] in (0.0, -1.0)
    assert sum(scores(texts, longer, step=step, mode=mode)[3] for step in range(20)) > 0


def test_the_reference_is_drawn_uniformly_and_anew_at_each_step() -> None:
    texts = ["a", "bb", "ccc", "dddd"]
    counts = [0] * 4
    for step in range(400):
        counts[scores(texts, longer, step=step).index(0.0)] += 1
    assert all(60 <= count <= 140 for count in counts)  # 100 +- 4.6 standard deviations
    assert scores(texts, longer, step=7) == scores(texts, longer, step=7)
    drawn_by_seed = {scores(texts, longer, seed=seed).index(0.0) for seed in range(30)}
    assert drawn_by_seed == {0, 1, 2, 3}


def test_a_judge_that_prefers_the_first_place_lets_nobody_win() -> None:
    assert sorted(scores("abcd", first_wins)) == [-1, -1, -1, 0]
    assert scores("abcd", first_wins, disagree="zero") == [0, 0, 0, 0]


def test_ties_are_losses_or_nothing() -> None:
    tied = by_quality(lambda text: 5.0)
    assert sorted(scores("abcd", tied)) == [-1, -1, -1, 0]
    assert scores("abcd", tied, disagree="zero") == [0, 0, 0, 0]


def test_one_readable_vote_decides() -> None:
    def half(pairs: Sequence[Pair]) -> list[PairScores | None]:
        return [longer([pair])[0] if pair.a > pair.b else None for pair in pairs]

    for step in range(10):
        assert scores(["x", "xx", "xxx"], half, step) == scores(["x", "xx", "xxx"], longer, step)


def test_cut_and_empty_completions_lose_without_a_judge_and_are_no_reference() -> None:
    asked: list[Pair] = []

    def judge(pairs: Sequence[Pair]) -> list[PairScores | None]:
        asked.extend(pairs)
        return longer(pairs)

    for step in range(20):
        values = scores(["long cut text", "  ", "b", "cc"], judge, step, {"is_truncated": [True, False, False, False]})
        assert values[:2] == [-1, -1]
        assert sorted(values[2:]) in ([-1, 0], [0, 1])
    assert {pair.a for pair in asked} | {pair.b for pair in asked} == {"b", "cc"}
    judged = scores(["long cut text", "b"], longer, 0, {"is_truncated": [True, False]}, truncated="judge")
    assert judged == [1, 0]


def test_a_group_without_a_reference_is_left_out() -> None:
    assert scores(["a", "b"], longer, 0, {"is_truncated": [True, True]}) == [None, None]
    assert scores(["a", "b", "", ""], longer, 0, {"is_failed": [True, True, False, False]}) == [None] * 4


def test_equal_texts_are_not_judged() -> None:
    def never(pairs: Sequence[Pair]) -> list[PairScores | None]:
        raise AssertionError(pairs)

    assert scores(["same", "same ", "same"], never) == [0, 0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_a_single_member_teaches_nothing(mode: str) -> None:
    assert scores(["alone"], longer, mode=mode) in ([0.0], [None])


@pytest.mark.parametrize("mode", MODES)
def test_a_judge_without_verdicts_teaches_nothing(mode: str) -> None:
    assert set(scores("abcde", lambda pairs: [None] * len(pairs), mode=mode)) == {None}


def test_each_question_is_asked_once_and_in_both_orders() -> None:
    asked: list[Pair] = []

    def judge(pairs: Sequence[Pair]) -> list[PairScores | None]:
        asked.extend(pairs)
        return longer(pairs)

    scores(["a", "bb", "bb", "ccc"], judge, mode="winrate")
    assert len(asked) == len(set(asked)) == 6
    assert {pair.swapped for pair in asked} == set(asked)
    asked.clear()
    scores(["a", "bb", "ccc"], judge, votes=1)
    assert len(asked) == 2


def test_lengths_outside_the_band_are_not_compared() -> None:
    texts = ["one two three four five", "one two three four", "one"]
    values = [scores(texts, longer, step, length_band=0.3) for step in range(30)]
    assert all(found[2] == 0 for found in values)
    assert [1, 0, 0] in values
    with pytest.raises(ValueError, match="above 0"):
        PairwiseReward(length_band=0)


def test_a_win_rate_is_the_mean_over_the_others() -> None:
    assert scores(["a", "bb", "ccc"], longer, mode="winrate") == [-1, 0, 1]


def test_a_tournament_pays_for_rounds_won() -> None:
    values = scores([chr(97 + i) * (i + 1) for i in range(8)], longer, mode="tournament")
    assert values[7] == 1
    assert sorted(values) == pytest.approx([-1, -1, -1, -1, -1 / 3, -1 / 3, 1 / 3, 1])


def test_what_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="section judge"):
        PairwiseReward()(["a"], prompts=["p"])
    with pytest.raises(ValueError, match="column prompts"):
        PairwiseReward(judge=longer)(["a"], prompt_id=["p"])
    with pytest.raises(ValueError, match="gave 0 answers to 2 pairs"):
        scores("ab", lambda pairs: [])


def test_the_judge_sees_what_was_asked() -> None:
    seen: list[str] = []

    def judge(pairs: Sequence[Pair]) -> list[PairScores | None]:
        seen.extend(pair.request for pair in pairs)
        return [None] * len(pairs)

    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "Why?"}]
    more = [*turns, {"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}]
    for prompt in (turns, more):
        scores("ab", judge, columns={"prompts": [prompt] * 2})
    assert set(seen) == {"Why?", "user: Why?\n\nassistant: So.\n\nuser: And?"}


def told(texts: Sequence[str], judge: Any, steps: int = 1, **args: Any) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for step in range(steps):
        scores(texts, judge, step, {"log_metric": metrics.__setitem__}, **args)
    return metrics


def test_the_log_shows_position_bias() -> None:
    biased, fair = told("abcd", first_wins), told(["a", "b b"], longer)
    assert biased["pairwise/first_position_share"] == 1
    assert biased["pairwise/order_agreement"] == 0
    assert fair["pairwise/first_position_share"] == 0.5
    assert fair["pairwise/order_agreement"] == 1
    assert told("ab", lambda pairs: [None] * len(pairs)) == {"pairwise/unparsable_share": 1}


def test_the_log_shows_length_bias() -> None:
    texts = [f"{'word ' * n}end" for n in (3, 9, 20, 41)]
    for_long = told(texts, longer, mode="winrate")
    for_short = told(texts, by_quality(lambda text: -len(text)), mode="winrate")
    blind = told(
        texts, by_quality({texts[0]: 2.0, texts[1]: 4.0, texts[2]: 1.0, texts[3]: 3.0}.__getitem__), mode="winrate"
    )
    assert for_long["pairwise/length_slope"] == pytest.approx(-for_short["pairwise/length_slope"])
    assert for_long["pairwise/length_slope"] > 2
    assert abs(blind["pairwise/length_slope"]) < 1
    assert math.isfinite(for_long["pairwise/length_slope"])
    in_brpo = told(texts, longer, steps=1)
    for name, value in in_brpo.items():
        if name.endswith(("_longer", "_shorter")):
            assert value == name.endswith("_longer")


def test_every_completion_has_a_record_of_its_duels() -> None:
    records: dict[str, Any] = {}
    values = scores(["a", "bb", "ccc"], longer, 0, {"log_extra": records.__setitem__})
    rows = records["pairwise"]
    reference = values.index(0.0)
    assert rows[reference] == []
    for i in {0, 1, 2} - {reference}:
        (duel,) = rows[i]
        assert duel["against"] == reference
        assert duel["scores"] == [[float(i + 1), float(reference + 1)]] * 2
        assert duel["stood_first"] == [True, False]
    json.dumps(rows)


TEXTS = st.lists(st.text("ab \n", max_size=4), min_size=1, max_size=6)
FLAGS = st.lists(st.booleans(), min_size=6, max_size=6)


@given(texts=TEXTS, cut=FLAGS, mode=st.sampled_from(MODES), votes=st.sampled_from([1, 2]), step=st.integers(0, 9))
def test_bounded_and_one_value_each(texts: list[str], cut: list[bool], mode: str, votes: int, step: int) -> None:
    values = scores(texts, longer, step, {"is_truncated": cut[: len(texts)]}, mode=mode, votes=votes)
    assert len(values) == len(texts)
    assert all(value is None or -1 <= value <= 1 for value in values)
    assert len({value is None for value in values}) == 1  # the group counts, or it does not


@given(
    order=st.permutations(range(5)), mode=st.sampled_from(MODES), votes=st.sampled_from([1, 2]), step=st.integers(0, 9)
)
def test_the_order_of_the_group_does_not_matter(order: list[int], mode: str, votes: int, step: int) -> None:
    texts = ["a", "bb", "ccc", "dd dd", "e e"]
    straight = scores(texts, first_wins, step, mode=mode, votes=votes)
    assert scores([texts[i] for i in order], first_wins, step, mode=mode, votes=votes) == [straight[i] for i in order]


@given(others=TEXTS, mode=st.sampled_from(MODES))
def test_other_groups_do_not_matter(others: list[str], mode: str) -> None:
    texts = ["a", "bb", "ccc"]
    columns = {"prompts": ["p"] * 3 + ["q"] * len(others), "group": [0] * 3 + [1] * len(others)}
    assert scores(texts + others, longer, 3, columns, mode=mode)[:3] == scores(texts, longer, 3, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_asked_ahead_is_what_is_asked(mode: str) -> None:
    from lengthctl.rewards.pair_groups import make_group

    asked: list[list[Pair]] = []

    def judge(pairs: Sequence[Pair]) -> list[PairScores | None]:
        asked.append(list(pairs))
        return longer(pairs)

    reward = PairwiseReward(judge=judge, mode=mode)  # type: ignore[arg-type]
    texts, flags = ["a", "bb", "ccc", "dddd"], [False] * 4
    group = make_group("p", texts, is_cut=flags, is_failed=flags, name=reward.draws_of("id", 5))
    ahead = reward.questions(group)
    reward(texts, prompts=["p"] * 4, prompt_id=["id"] * 4, trainer_state=SimpleNamespace(global_step=5))
    assert set(ahead) == set(asked[0])


def verdict(a: float, b: float) -> str:
    return f'Principle: it answers. First one does so, second one does not do it.\n{{"a": {a}, "b": {b}}}'


def test_accuracy_pays_margins_and_charges_for_a_favoured_place() -> None:
    texts, better = [verdict(9, 4), verdict(4, 9), verdict(9, 4), verdict(8, 6)], ["a", "b", "b", None]
    assert PairAccuracyReward(margin=0.5)(texts, better=better) == [1.25, 1.25, -1.25, None]
    values = PairAccuracyReward(position=0.3)(texts, better=better)
    assert values == [pytest.approx(0.9), 1, pytest.approx(-1.1), None]  # 2 of 3 name a, 1 of 3 should
    right = PairAccuracyReward(position=0.3)([verdict(9, 4), verdict(8, 4)], better=["a", "a"])
    assert right == [1, 1]


def test_a_bare_guess_is_no_judgement() -> None:
    bare = '{"a": 9, "b": 1}'
    assert PairAccuracyReward()([bare, verdict(9, 1)], better=["a", "a"]) == [-1, 1]
    assert PairAccuracyReward(min_critique_words=0)([bare], better=["a"]) == [1]


def test_accuracy_needs_its_column() -> None:
    with pytest.raises(ValueError, match="column better is missing"):
        PairAccuracyReward()(["x"])
    with pytest.raises(ValueError, match="holds a or b"):
        PairAccuracyReward()(["x"], better=["first"])


@given(
    rows=st.lists(st.tuples(st.floats(-5, 15), st.floats(-5, 15), st.sampled_from(["a", "b", None])), max_size=8),
    margin=st.floats(0, 1),
    position=st.floats(0, 1),
)
def test_accuracy_stays_in_its_bounds(rows: list[Any], margin: float, position: float) -> None:
    reward = PairAccuracyReward(margin=margin, position=position)
    values = reward([verdict(a, b) for a, b, _ in rows], better=[place for *_, place in rows])
    assert all((value is None) == (row[2] is None) for value, row in zip(values, rows, strict=True))
    assert all(reward.lowest - 1e-9 <= value <= reward.highest + 1e-9 for value in values if value is not None)
