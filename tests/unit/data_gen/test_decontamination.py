"""Prompts of an evaluation are found in other texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengthctl.data_gen.decontamination import Contamination, strict_contamination

LONG = "Tell me how the old bridge over the river was built and by whom it was paid"  # 17 words, 10 grams


def test_equal_but_for_case_and_punctuation() -> None:
    known = Contamination(["What is love?", "  ", LONG])
    assert len(known) == 2
    assert known.hit("what is LOVE")
    assert not known.hit("What is love about?")  # too short for n-grams
    assert not known.hit("")


def test_half_of_the_eight_grams() -> None:
    known = Contamination([LONG])
    first = LONG.split()
    assert known.hit("Please be so kind. " + LONG + " Thank you.")
    assert known.hit(" ".join(first[:12]))  # 5 of 10
    assert not known.hit(" ".join(first[:11]))  # 4 of 10
    assert not known.hit(" ".join(first[:8]) + " x " + " ".join(first[9:]))


def test_share_counts_for_each_text_alone() -> None:
    texts = [" ".join(f"{name}{i}" for i in range(20)) for name in "abcd"]
    known = Contamination(texts)
    pieces = " ".join(" ".join(text.split()[:10]) for text in texts)  # 3 of 13 grams of each
    assert not known.hit(pieces)
    assert Contamination(texts, share=0.2).hit(pieces)


def test_digest_is_of_the_texts_in_any_order() -> None:
    assert Contamination(["a", "b"]).digest == Contamination(["b", "a", "A!"]).digest
    assert Contamination(["a"]).digest != Contamination(["b"]).digest
    assert Contamination(["a"]).digest != Contamination(["a"], n=7).digest


@given(st.lists(st.text(st.characters()), max_size=5), st.text(st.characters()))
def test_a_text_of_the_evaluation_is_always_hit(texts: list[str], other: str) -> None:
    known = Contamination(texts)
    assert all(known.hit(text) for text in texts if text.strip())
    assert isinstance(known.hit(other), bool)


def test_no_texts() -> None:
    assert not Contamination([]).hit(LONG)


def test_texts_that_are_alike_without_a_long_run_in_common() -> None:
    words = LONG.split()
    changed = " ".join([*words[:6], "x", *words[7:]])  # 8 of 18 5-grams in common
    assert not Contamination([LONG], share=1.0).hit(changed)
    assert Contamination([LONG], share=1.0, jaccard=0.4).hit(changed)
    assert not Contamination([LONG], share=1.0, jaccard=0.45).hit(changed)
    assert not Contamination([LONG], share=1.0, jaccard=0.4).hit("")


def test_numbers_are_left_out_where_prompts_are_templates() -> None:
    ruler = ["Write a 1000-word travel guide to Peru", "写一篇两千字的游记"]
    other = ["Write a 30,000-word travel guide to Peru", "写一篇三万字的游记"]
    plain, known = Contamination(ruler), Contamination(ruler, without_numbers=True)
    assert not any(map(plain.hit, other))
    assert all(map(known.hit, other))
    assert not known.hit("Write a travel guide to Chile")


def test_strict_rules() -> None:
    known = strict_contamination([LONG])
    words = LONG.split()
    assert known.hit(" ".join(words[:8]) + " and something else that is not the same at all")
    assert not known.hit(" ".join(words[:7]) + " and something else that is not the same at all")
    assert strict_contamination(["Tell me about 3 cats"]).hit("Tell me about 50 cats!")


def test_digest_tells_the_rules_apart() -> None:
    digests = {
        Contamination(["a"]).digest,
        Contamination(["a"], jaccard=0.5).digest,
        Contamination(["a"], jaccard=0.5, jaccard_n=3).digest,
        Contamination(["a"], without_numbers=True).digest,
        strict_contamination(["a"]).digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize("arguments", [{"jaccard": 0.0}, {"jaccard": 1.0}, {"jaccard_n": 0}])
def test_arguments_of_similarity_out_of_range(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs jaccard_n >= 1"):
        Contamination(["a"], **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"n": 0}, {"share": 0.0}, {"share": 1.5}])
def test_arguments_out_of_range(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs n >= 1"):
        Contamination(["a"], **arguments)  # type: ignore[arg-type]
