"""Duplicates: exact after normalisation, and nearly; the same in every process."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.near_duplicates import NearDuplicates
from lengthctl.normal_text import content_digest, normal_form, normal_words


def words(seed: int, n: int = 100) -> list[str]:
    rng = random.Random(seed)
    return [f"w{rng.randrange(10_000)}" for _ in range(n)]


def with_changes(text: list[str], n: int, seed: int = 0) -> str:
    changed = list(text)
    for place in random.Random(seed).sample(range(len(text)), n):
        changed[place] = f"other{place}"
    return " ".join(changed)


def test_normal_form() -> None:
    assert normal_form("Ｈello,  World!\n2½") == normal_form("hello world 21⁄2")
    assert normal_form("?!") == "?!"
    assert normal_form(" \n") == ""
    assert normal_words("Don't stop_it: 東京 3.5") == ["don", "t", "stop", "it", "東", "京", "3", "5"]


@given(st.text(st.characters()))
def test_any_text_is_a_duplicate_of_itself(text: str) -> None:
    known = NearDuplicates()
    assert known.seen(text) is None
    assert known.seen(text) is DropReason.EXACT_DUPLICATE
    assert len(known) == 1


def test_near_and_far() -> None:
    known = NearDuplicates()
    text = words(1)
    assert known.seen(" ".join(text)) is None
    assert known.seen(" ".join(text).upper() + "!") is DropReason.EXACT_DUPLICATE
    assert known.seen(with_changes(text, 1)) is DropReason.NEAR_DUPLICATE  # 91 of 101 shingles
    assert known.seen(with_changes(text, 8)) is None  # half of them
    assert known.seen(" ".join(words(2))) is None
    assert len(known) == 3


def test_a_low_threshold_finds_texts_that_are_half_alike() -> None:
    found = 0
    for seed in range(40):
        known = NearDuplicates(threshold=0.5)
        text = words(seed)
        known.seen(" ".join(text))
        found += known.seen(with_changes(text, 5, seed)) is DropReason.NEAR_DUPLICATE  # about 71 of 121 shingles
    assert found >= 34


def test_finding_does_not_keep() -> None:
    known = NearDuplicates()
    one = known.fingerprint(" ".join(words(1)))
    assert known.find(one) is None
    assert known.find(one) is None
    assert len(known) == 0
    known.keep(one)
    assert known.find(one) is DropReason.EXACT_DUPLICATE
    assert known.find(known.fingerprint(with_changes(words(1), 1))) is DropReason.NEAR_DUPLICATE
    assert len(known) == 1


def test_short_texts_are_only_compared_whole() -> None:
    known = NearDuplicates()
    assert known.seen("yes of course it") is None
    assert known.seen("yes of course he") is None
    assert known.seen("Yes, of course it!") is DropReason.EXACT_DUPLICATE


def test_the_whole_may_be_more_than_the_text() -> None:
    known = NearDuplicates()
    assert known.check(known.fingerprint("no", whole="Is it? no")) is None
    assert known.check(known.fingerprint("no", whole="Was it? no")) is None
    assert known.check(known.fingerprint("No", whole="is it -- no")) is DropReason.EXACT_DUPLICATE


def test_threshold() -> None:
    text = words(3)
    for threshold, reason in ((0.95, None), (0.4, DropReason.NEAR_DUPLICATE)):
        known = NearDuplicates(threshold=threshold)
        known.seen(" ".join(text))
        assert known.seen(with_changes(text, 3)) is reason  # about 0.75


def test_fingerprints_are_the_same_in_another_process() -> None:
    code = (
        "from lengthctl.data_gen.near_duplicates import NearDuplicates\n"
        "found = NearDuplicates(seed=5).fingerprint('a b c d e f g h')\n"
        "print(found.exact, found.sketch)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    found = NearDuplicates(seed=5).fingerprint("a b c d e f g h")
    assert out.stdout.split() == [found.exact, found.sketch]
    assert NearDuplicates(seed=6).fingerprint("a b c d e f g h").sketch != found.sketch


@pytest.mark.parametrize("arguments", [{"threshold": 0.0}, {"threshold": 1.1}, {"shingle": 0}])
def test_arguments_out_of_range(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs 0 < threshold"):
        NearDuplicates(**arguments)  # type: ignore[arg-type]


def test_content_digest_takes_anything() -> None:
    assert len(content_digest("\ud800", [1, None])) == 32
    assert content_digest("a", "b") != content_digest("ab")
