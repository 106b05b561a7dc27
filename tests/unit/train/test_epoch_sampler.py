"""The order of prompts: every batch holds each target's share, and an epoch's order depends on nothing else."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lengthctl.train.epoch_sampler import EpochSampler, spread_strata


@given(st.permutations(range(24)))
def test_with_equal_strata_every_round_holds_one_of_each(order: list[int]) -> None:
    strata = [index % 4 for index in range(24)]
    spread = spread_strata(order, strata)
    assert sorted(spread) == list(range(24))
    for start in range(0, 24, 4):
        assert {strata[index] for index in spread[start : start + 4]} == {0, 1, 2, 3}


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.data())
def test_every_beginning_holds_each_stratum_by_its_share(strata: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(strata))))
    spread = spread_strata(order, strata)
    sizes = Counter(strata)
    for length in range(1, len(spread) + 1):
        counts = Counter(strata[index] for index in spread[:length])
        assert all(abs(counts[name] - size * length / len(spread)) <= len(sizes) for name, size in sizes.items())


@given(st.permutations(range(12)))
def test_within_a_stratum_the_order_stays(order: list[int]) -> None:
    strata = [index % 3 for index in range(12)]
    spread = spread_strata(order, strata)
    for name in range(3):
        assert [i for i in spread if strata[i] == name] == [i for i in order if strata[i] == name]


def test_an_epoch_has_its_order_whenever_it_is_begun() -> None:
    sampler = EpochSampler(range(10), mini_repeat_count=2, batch_size=4, repeat_count=1, seed=3)
    sampler.strata = [index % 2 for index in range(10)]
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    assert len(first) == len(second) == len(sampler) == 16
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_unshuffled_rows_keep_their_order_and_repeats() -> None:
    sampler = EpochSampler(range(5), mini_repeat_count=2, batch_size=2, repeat_count=2, shuffle=False)
    assert list(sampler) == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]
