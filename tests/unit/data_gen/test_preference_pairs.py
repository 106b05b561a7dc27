"""Preference pairs: what is preferred is nearer to its target, under one request, whatever the order of the texts."""

from __future__ import annotations

import functools
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.preference_pairs import (
    Pair,
    PairDrop,
    PairRules,
    PairSet,
    Text,
    adherence_pairs,
    hindsight_pairs,
    pair_row,
    score_pairs,
    write_pairs,
)
from lengthctl.errors import DataError
from lengthctl.length import Relation, Target, Unit, abs_relative_deviation, count_length
from lengthctl.mlt import RULER_TABLE, MltTable
from lengthctl.records import FinishReason
from lengthctl.scoring import hit_band, s_l

TARGETS = [Target(50), Target(80), Target(60, Relation.AT_MOST), Target(40, Relation.RANGE, high=70)]


@functools.cache
def prose(words: int, salt: int = 0) -> str:
    """A finished text of so many words, none of them twice in a row of three."""
    rng = random.Random(f"{words}|{salt}")
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(words)) + "."


def text(words: int, target: Target | None = None, request: str = "Tell me about bees.", **fields: Any) -> Text:
    content = fields.pop("text", None) or prose(words, fields.pop("salt", 0))
    messages = ({"role": "user", "content": request},)
    base = Text(fields.pop("prompt_id", request), messages, target or Target(50), content, count_length(content))
    return replace(base, **fields)


lengths = st.integers(1, 160) | st.sampled_from([30, 45, 48, 50, 52, 60, 61, 79, 80, 101])
written = st.builds(
    text,
    lengths,
    st.sampled_from(TARGETS),
    st.sampled_from(["Tell me about bees.", "Explain rain."]),
    salt=st.integers(0, 3),
    quality=st.sampled_from([None, 0.0, 0.3, 0.6, 0.9, 1.0]),
    finish=st.sampled_from([None, FinishReason.EOS, FinishReason.CLOSED]),
    is_truncated=st.sampled_from([False, False, False, True]),
)
some_texts = st.lists(written, min_size=6, max_size=30) | st.lists(written, max_size=5)
some_rules = st.builds(
    PairRules,
    seed=st.integers(0, 3),
    margin=st.sampled_from([0.05, 0.1, 0.4]),
    band=st.sampled_from(["hit", "pm", "fm"]),
    per_prompt=st.integers(1, 3),
    balance=st.booleans(),
    matched=st.booleans(),
    clean_rejected=st.booleans(),
    table=st.sampled_from([None, RULER_TABLE, RULER_TABLE.labelling_all()]),
)
Maker = Callable[[Sequence[Text], PairRules], PairSet]
MAKERS: list[Maker] = [adherence_pairs, hindsight_pairs, score_pairs]


def prompt_of(pair: Pair, rules: PairRules) -> str:
    row = pair_row(pair, rules)
    return json.dumps([row["prompt"], row["target"]])


@pytest.mark.parametrize("make", [adherence_pairs, hindsight_pairs])
@given(some_texts, some_rules)
def test_chosen_is_nearer_and_hits_where_rejected_misses(make: Maker, texts: list[Text], rules: PairRules) -> None:
    for pair in make(texts, rules).pairs:
        label = pair.label
        assert label.distance(pair.chosen.length) + rules.margin <= label.distance(pair.rejected.length)
        assert pair.chosen.length in label.band
        assert pair.rejected.length not in label.band
        assert not pair.chosen.is_truncated
        assert not (rules.clean_rejected and pair.rejected.is_truncated)


@pytest.mark.parametrize("make", MAKERS)
@given(some_texts, some_rules)
def test_two_different_texts_under_one_request_and_no_more_than_asked(
    make: Maker, texts: list[Text], rules: PairRules
) -> None:
    found = make(texts, rules).pairs
    for pair in found:
        assert pair.chosen.text.strip() != pair.rejected.text.strip()
        assert pair.chosen.request == pair.rejected.request
    assert len(set(map(repr, found))) == len(found)
    assert all(n <= rules.per_prompt for n in Counter(prompt_of(pair, rules) for pair in found).values())


@pytest.mark.parametrize("make", MAKERS)
@given(some_texts, some_rules, st.randoms(use_true_random=False))
def test_order_of_the_texts_does_not_matter(
    make: Maker, texts: list[Text], rules: PairRules, rng: random.Random
) -> None:
    shuffled = texts.copy()
    rng.shuffle(shuffled)
    assert make(shuffled, rules) == make(texts, rules)


@pytest.mark.parametrize("make", MAKERS)
@given(some_texts, some_rules)
def test_balance_within_each_target_where_both_sides_are(make: Maker, texts: list[Text], rules: PairRules) -> None:
    found = make(texts, replace(rules, balance=True)).pairs
    if make is hindsight_pairs:
        assert sum(pair.longer for pair in found) == 0
        return
    sides: dict[object, Counter[int]] = {}
    for pair in found:
        sides.setdefault(pair.label, Counter())[pair.longer] += 1
    for counts in sides.values():
        assert counts[1] == counts[-1] or 0 in (counts[1], counts[-1])


@given(some_texts, some_rules)
def test_hindsight_chooses_each_text_as_often_as_it_rejects_it(texts: list[Text], rules: PairRules) -> None:
    pairs = hindsight_pairs(texts, rules).pairs
    assert Counter(p.chosen.order for p in pairs) == Counter(p.rejected.order for p in pairs)


@given(some_texts, some_rules, st.floats(0.01, 0.5))
def test_score_pairs_choose_the_best_of_a_prompt(texts: list[Text], rules: PairRules, gap: float) -> None:
    def score(one: Text, pair: Pair) -> float:
        assert one.quality is not None
        return (s_l(one.length, pair.label.target) + one.quality) / 2

    for pair in score_pairs(texts, rules, min_gap=gap).pairs:
        assert score(pair.chosen, pair) - score(pair.rejected, pair) == pytest.approx(pair.margin)
        assert pair.margin >= gap
        assert s_l(pair.chosen.length, pair.label.target) >= 0.8
        assert not pair.chosen.is_truncated
        assert not pair.rejected.is_truncated


def test_adherence_by_hand() -> None:
    texts = [text(50), text(54), text(90), text(20)]
    found = adherence_pairs(texts, PairRules(balance=False))
    (pair,) = found.pairs
    assert (pair.chosen.length, pair.rejected.length) in {(50, 54), (50, 90), (50, 20)}
    assert pair.rejected.length != 54, "54 misses 50 by less than the margin"
    many = adherence_pairs(texts, PairRules(balance=False, per_prompt=5)).pairs
    assert sorted(p.rejected.length for p in many) == [20, 90]
    assert dict(adherence_pairs([text(50), text(51)]).dropped)[PairDrop.NO_PAIR] == 1


def test_balance_is_sought_before_pairs_are_dropped() -> None:
    """Three prompts can reject the longer text only, three have both: no pair has to go."""
    requests = [f"Request {i}." for i in range(6)]
    texts = [text(n, request=r) for r in requests[:3] for n in (50, 90)]
    texts += [text(n, request=r) for r in requests[3:] for n in (50, 20, 90)]
    found = adherence_pairs(texts)
    assert Counter(pair.longer for pair in found.pairs) == {1: 3, -1: 3}
    assert not found.dropped.get(PairDrop.BALANCE)


def test_balance_drops_what_is_too_many_and_keeps_what_has_no_counterpart() -> None:
    texts = [text(n, request=f"Request {i}.") for i in range(5) for n in (50, 90 if i else 20)]
    found = adherence_pairs(texts)
    assert Counter(pair.longer for pair in found.pairs) == {1: 1, -1: 1}
    assert found.dropped[PairDrop.BALANCE] == 3
    assert len(adherence_pairs(texts, PairRules(balance=False)).pairs) == 5
    only = [one for one in texts if one.request[0]["content"] != "Request 0."]
    assert len(adherence_pairs(only).pairs) == 4


def test_no_pair_is_taken_twice_for_the_sake_of_balance() -> None:
    texts = [text(n, request=f"Request {i}.") for i in range(3) for n in (50, 90)]
    texts += [text(n, request="Both.") for n in (50, 20, 90)]
    found = adherence_pairs(texts, PairRules(per_prompt=2))
    assert Counter(pair.longer for pair in found.pairs) == {1: 1, -1: 1}
    assert found.dropped[PairDrop.BALANCE] == 3


def test_matched_takes_the_miss_that_repeats_as_much() -> None:
    phrase = "the bees are here "
    hit = text(50, text=prose(42) + " " + (phrase * 2).strip() + ".")
    misses = [text(90, salt=i) for i in range(8)]
    alike = text(90, text=prose(78) + " " + (phrase * 3).strip() + ".")
    (pair,) = adherence_pairs([hit, alike, *misses], PairRules(matched=True)).pairs
    assert pair.rejected == alike


def test_texts_that_are_cut_or_repeat_themselves_make_no_pair_by_length() -> None:
    bad = [
        text(50, is_truncated=True),
        text(50, salt=1, is_cut=True),
        text(50, text=prose(49)[:-1] + " because"),
        text(50, text="go on " * 24 + "go on."),
    ]
    found = adherence_pairs([*bad, text(90), text(90, salt=1, is_truncated=True)])
    assert found.pairs == ()
    assert found.dropped == {PairDrop.UNFINISHED: 4, PairDrop.REPETITIVE: 1, PairDrop.NO_PAIR: 1}
    (pair,) = adherence_pairs([text(50), text(90, is_truncated=True)], PairRules(clean_rejected=False)).pairs
    assert pair.rejected.is_truncated


def test_hindsight_by_hand_in_words() -> None:
    short, long = text(30, Target(200)), text(60, Target(100), prompt_id="other")
    there, back = sorted(hindsight_pairs([short, long]).pairs, key=lambda pair: pair.chosen.length)
    assert (there.label.target, there.chosen, there.rejected) == (Target(30), short, long)
    assert (back.label.target, back.chosen, back.rejected) == (Target(60), long, short)
    assert "about 30 words" in pair_row(there)["prompt"][-1]["content"]
    assert there.prompt_id == back.prompt_id == "Tell me about bees."
    asked = hindsight_pairs([short, long], targets=[Target(31), Target(29), Target(500)]).pairs
    assert asked == (), "no target is hit by the longer text"


def test_hindsight_by_hand_with_tokens() -> None:
    rules = PairRules(table=RULER_TABLE)
    texts = [text(30, Target(200)), text(52, Target(200)), text(200, Target(200)), text(950, Target(200))]
    found = hindsight_pairs(texts, replace(rules, per_prompt=2))
    assert {(p.label.token.name if p.label.token else None, p.chosen.length) for p in found.pairs} == {
        ("30", 30),
        ("50", 52),
        (">800", 950),
    }
    assert found.dropped[PairDrop.NO_LABEL] == 1, "no token's data band holds 200"
    row = pair_row(found.pairs[0], rules)
    lead = f"[MLT:{row['mlt']}]w"
    assert row["chosen"][0]["content"].startswith(lead)
    assert row["rejected"][0]["content"].startswith(lead)
    assert row["prompt"] == [{"role": "user", "content": "Tell me about bees."}]


def test_targets_that_share_a_token_are_one_prompt() -> None:
    texts = [text(50, Target(50)), text(90, Target(50)), text(53, Target(55)), text(90, Target(55), salt=1)]
    assert len(adherence_pairs(texts).pairs) == 2
    assert len(adherence_pairs(texts, PairRules(table=RULER_TABLE)).pairs) == 1
    beyond = adherence_pairs([text(50, Target(50, unit=Unit.TOKENS))], PairRules(table=RULER_TABLE))
    assert beyond.dropped == {PairDrop.NO_LABEL: 1}


def test_bands_of_a_token_are_its_precise_or_its_flexible_one() -> None:
    """Of [MLT:300], 281 to 320 and 201 to 400."""
    texts = [text(n, Target(300)) for n in (300, 390, 450)]
    tight, wide = (
        adherence_pairs(texts, PairRules(table=RULER_TABLE, band=band, balance=False, per_prompt=9)).pairs
        for band in ("hit", "fm")
    )
    assert {(p.chosen.length, p.rejected.length) for p in tight} == {(300, 390), (300, 450)}
    assert {(p.chosen.length, p.rejected.length) for p in wide} == {(300, 450), (390, 450)}


def test_a_text_that_its_unit_does_not_see_has_no_label() -> None:
    unseen = text(1, Target(5, unit=Unit.WORDS_LONGWRITER), text="2024.", length=0)
    assert hindsight_pairs([unseen]).dropped == {PairDrop.NO_LABEL: 1}


def test_literal_tokens_and_lengths_in_the_request_are_refused() -> None:
    spelled = text(50, text="[MLT:50] " + prose(48))
    assert adherence_pairs([spelled], PairRules(table=RULER_TABLE)).dropped[PairDrop.HOLDS_TOKEN] == 1
    asking = [text(n, request="Write a 50-word story.") for n in (30, 60)]
    assert hindsight_pairs(asking).dropped[PairDrop.LENGTH_DEMAND] == 2
    telling = text(30, text="Here it is, in about 200 words. " + prose(23))
    assert hindsight_pairs([telling, text(60)]).dropped == {PairDrop.LENGTH_DEMAND: 1, PairDrop.NO_PAIR: 1}


def test_score_pairs_weigh_length_and_quality() -> None:
    exact, good, poor = text(50, quality=0.5), text(60, quality=0.9), text(150, quality=0.4)
    (even,) = score_pairs([exact, good, poor], PairRules(balance=False)).pairs
    assert even.chosen == good, "0.8 * 0 + (0.9333 + 0.9) / 2 beats (1 + 0.5) / 2"
    (by_length,) = score_pairs([exact, good, poor], PairRules(balance=False), weights=(1, 0)).pairs
    assert (by_length.chosen, round(by_length.margin, 4)) in [(exact, 0.0667), (exact, 0.6667)]
    (tripled,) = score_pairs([exact, good, poor], PairRules(balance=False), weights=(3, 0)).pairs
    assert tripled.margin == pytest.approx(by_length.margin)
    assert score_pairs([good, poor], min_s_l=0.95).pairs == ()
    assert score_pairs([text(50), poor]).dropped == {PairDrop.NO_QUALITY: 1, PairDrop.NO_PAIR: 1}
    twice = [text(50, quality=0.9), text(50, quality=0.1, prompt_id="again")]
    assert score_pairs(twice).pairs == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"margin": 0.0},
        {"margin": float("nan")},
        {"per_prompt": 0},
        {"band": "wide"},
        {"wordings": ()},
        {"wordings": ("{request}",)},
    ],
)
def test_rules_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"found|needed"):
        PairRules(**fields)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="not by both"):
        hindsight_pairs([], PairRules(table=RULER_TABLE), targets=[Target(50)])
    for bad in ({"weights": (-1, 2)}, {"weights": (0, 0)}, {"min_gap": 0}, {"min_s_l": 2}):
        with pytest.raises(ValueError, match="needs weights"):
            score_pairs([], **bad)
    with pytest.raises(ValueError, match="quality"):
        text(50, quality=75.0)


def many_texts() -> list[Text]:
    requests = [f"Request {i}." for i in range(12)]
    return [text(n, t, r, quality=n / 200) for r in requests for t in TARGETS for n in (10, 30, 50, 80, 120, 150)]


@pytest.mark.parametrize("table", [None, RULER_TABLE], ids=["words", "mlt"])
def test_written_pairs_load_as_preference_data(tmp_path: Path, table: MltTable | None) -> None:
    from datasets import load_dataset

    rules, texts = PairRules(table=table, per_prompt=2), many_texts()
    sets = [adherence_pairs(texts, rules), hindsight_pairs(texts, rules), score_pairs(texts, rules)]
    stats = write_pairs(sets, tmp_path / "a", rules, unread={PairDrop.FAILED: 2}, licence="apache-2.0")
    data = load_dataset(
        "json", data_files=str(tmp_path / "a" / "train.jsonl"), split="train", cache_dir=str(tmp_path), chunksize=4096
    )
    assert len(data) == stats["pairs"] == sum(len(one.pairs) for one in sets) > 50
    for row in data:
        target = Target.parse(row["target"])
        assert [message["role"] for message in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]
        assert row["prompt"][-1]["role"] == "user"
        lead = len(f"[MLT:{row['mlt']}]") if table is not None else 0
        assert count_length(row["chosen"][0]["content"][lead:], row["unit"]) == row["length_chosen"]
        if row["kind"] != "score" and target.relation is Relation.EXACT and table is None:
            assert row["length_chosen"] in hit_band(target)
            chosen, rejected = (
                abs_relative_deviation(row[f"length_{side}"], target) for side in ("chosen", "rejected")
            )
            assert chosen < rejected
    assert json.loads((tmp_path / "a" / "stats.json").read_text()) == stats
    card = (tmp_path / "a" / "README.md").read_text()
    assert card.startswith("---\n")
    assert f"{stats['pairs']} pairs" in card
    (hindsight,) = (kind for kind in stats["kinds"] if kind["kind"] == "hindsight")
    assert hindsight["longer"] == 0.5
    assert hindsight["mean_length_chosen"] == hindsight["mean_length_rejected"]
    assert stats["dropped"]["reading"] == {"failed": 2}


def test_same_files_whatever_the_order(tmp_path: Path) -> None:
    texts = many_texts()
    write_pairs([adherence_pairs(texts), hindsight_pairs(texts)], tmp_path / "a")
    random.Random(1).shuffle(texts)
    write_pairs([hindsight_pairs(texts), adherence_pairs(texts)], tmp_path / "b")
    for name in ("train.jsonl", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_no_pair_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no_pair"):
        write_pairs([adherence_pairs([text(50)])], tmp_path)
    assert not list(tmp_path.iterdir())
