"""Two real engines: every request answered once and in order, weights synced exactly, wrong weights refused."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lengthctl.config import Config, ModelConfig, RewardSpec, RolloutConfig
from lengthctl.errors import EngineError, WeightSyncError
from lengthctl.models import BUNDLED, load_policy, load_tokenizer
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.open import open_pool
from lengthctl.rollout.weights import checkpoint_state

pytestmark = pytest.mark.e2e

SAID: list[str] = []
GREEDY = Sampling(temperature=0.0, max_tokens=16)


@pytest.fixture(scope="module")
def pool() -> Iterator[Any]:
    from lengthctl.rollout.cluster import disconnect

    config = Config(
        model=ModelConfig(name=BUNDLED),
        rollout=RolloutConfig(engines=2, threads=1, max_num_seqs=3),
        rewards=[RewardSpec(name="log_ratio")],
    )
    opened = open_pool(config, load_tokenizer(config.model), context_tokens=320, say=SAID.append)
    yield opened
    opened.close()
    disconnect()


def generate(pool: Any, *, long: bool = False, times: int = 1, on_completion: Any = None) -> list[Completion]:
    """Eight greedy completions of 16 tokens, or 24 sampled ones of 48; or so many times more."""
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED))
    words = ("rain", "bread", "a lighthouse", "chess", "winter", "the moon", "a train", "tea") * (
        3 * times if long else times
    )
    prompts = [tokenizer.prompt_ids([{"role": "user", "content": f"Tell me of {word}."}]) for word in words]
    sampling = Sampling(max_tokens=48) if long else GREEDY
    requests = [Request(str(i), ids, sampling) for i, ids in enumerate(prompts)]
    done: list[Completion] = pool.generate(requests, on_completion)
    return done


def tokens(done: list[Completion]) -> list[tuple[int, ...]]:
    return [c.token_ids for c in done]


def test_more_requests_than_slots_come_back_once_and_in_order(pool: Any) -> None:
    done = generate(pool)
    assert [c.request_id for c in done] == [str(i) for i in range(8)]
    assert {c.engine for c in done} == {"engine-0", "engine-1"}
    assert all(len(c.logprobs) == len(c.token_ids) <= 16 for c in done)
    assert {c.finish for c in done} <= {FinishReason.EOS, FinishReason.LIMIT}


def test_a_penalty_on_repetition_reaches_the_engines(pool: Any) -> None:
    ids = load_tokenizer(ModelConfig(name=BUNDLED)).prompt_ids([{"role": "user", "content": "Say tick tock 50 times."}])
    asked = [Request(str(p), ids, Sampling(temperature=0.0, max_tokens=48, repetition_penalty=p)) for p in (1.0, 1.5)]
    plain, varied = pool.generate(asked)
    assert len(set(varied.token_ids)) / len(varied.token_ids) > 2 * len(set(plain.token_ids)) / len(plain.token_ids)


def test_members_of_a_group_share_their_prompt(pool: Any) -> None:
    """Prompts of 300 tokens, two whole blocks of the prefix cache: two groups of six find them computed."""
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED))
    ids = [tokenizer.prompt_ids([{"role": "user", "content": f"{word} " * 300}])[:300] for word in ("sea", "sky")]
    long = Sampling(max_tokens=8)
    requests = [Request(f"{word}-{i}", ids[word], long, group=str(word)) for word in (0, 1) for i in range(6)]
    cached = sum(stats["cached_prompt_tokens"] for stats in pool.engine_stats())
    done = pool.generate(requests)
    found = sum(stats["cached_prompt_tokens"] for stats in pool.engine_stats()) - cached
    assert {c.finish for c in done} <= {FinishReason.EOS, FinishReason.LIMIT}
    assert found >= 8 * 256, found  # all but those that begin a group on either engine
    for group in ("0", "1"):  # while that costs no more than it saves, a group stays on one engine
        held = [c.engine for c, r in zip(done, requests, strict=True) if r.group == group]
        assert max(held.count(engine) for engine in set(held)) >= 4


def test_weights_are_synced_exactly_to_every_engine(pool: Any) -> None:
    import torch

    state = checkpoint_state(load_policy(ModelConfig(name=BUNDLED)), torch.bfloat16)
    version = pool.sync_weights(state)
    first = generate(pool)
    noise = torch.Generator().manual_seed(0)
    perturbed = {
        name: value + 0.02 * torch.randn(value.shape, generator=noise).to(value.dtype) for name, value in state.items()
    }
    assert pool.sync_weights(perturbed) == version + 1
    other = generate(pool)
    assert {c.weight_version for c in other} == {version + 1}
    assert all(a != b for a, b in zip(tokens(first), tokens(other), strict=True))
    pool.sync_weights(state)
    assert tokens(generate(pool)) == tokens(first)


def test_a_killed_engine_is_replaced_and_nothing_is_lost(pool: Any) -> None:
    """Killed in mid-rollout under weights that are not the checkpoint's: the new engine must hold those."""
    import torch

    state = checkpoint_state(load_policy(ModelConfig(name=BUNDLED)), torch.bfloat16)
    noise = torch.Generator().manual_seed(1)
    pool.sync_weights({n: v + 0.02 * torch.randn(v.shape, generator=noise).to(v.dtype) for n, v in state.items()})
    expected = tokens(generate(pool))
    victim, *_ = pool.engine_pids()
    replaced = pool.replaced
    seen: list[str] = []

    def kill_at_the_first(completion: Completion) -> None:
        if not seen:
            os.kill(victim, signal.SIGKILL)
        seen.append(completion.request_id)

    done = generate(pool, on_completion=kill_at_the_first, long=True)
    assert pool.replaced == replaced + 1
    assert sorted(seen) == sorted(c.request_id for c in done)
    assert len(seen) == len(set(seen)) == 24
    assert all(len(c.logprobs) == len(c.token_ids) for c in done)
    assert {c.finish for c in done} <= {FinishReason.EOS, FinishReason.LIMIT}
    assert all(len(c.token_ids) == 48 for c in done if c.finish is FinishReason.LIMIT)
    assert victim not in pool.engine_pids()
    assert tokens(generate(pool)) == expected
    pool.sync_weights(state)


def test_a_hung_engine_is_named_and_replaced_while_the_other_works(pool: Any) -> None:
    victim, *_ = pool.engine_pids()
    replaced, heard = pool.replaced, len(SAID)
    ends: list[tuple[bool, str]] = []

    def note(completion: Completion) -> None:
        ends.append((any("is replaced" in line for line in SAID[heard:]), completion.engine))

    pool.stall_seconds = 6.0
    os.kill(victim, signal.SIGSTOP)
    try:
        done = generate(pool, long=True, times=3, on_completion=note)
    finally:
        pool.stall_seconds = 300.0
    assert (True, "engine-1") in ends, ends  # it was not waited for until nothing else was to do
    assert len({c.request_id for c in done}) == 72
    assert {c.finish for c in done} <= {FinishReason.EOS, FinishReason.LIMIT}
    assert pool.replaced == replaced + 1
    assert any("no answer for" in line for line in SAID)


def test_requests_that_join_the_call_stand_behind_the_others(pool: Any) -> None:
    """Six chains of three requests, each asked when the one before it is in; an engine dies meanwhile."""
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED))
    ids = tokenizer.prompt_ids([{"role": "user", "content": "Tell me of rain."}])
    victim, *_ = pool.engine_pids()
    replaced = pool.replaced
    seen: list[str] = []

    def follow(completion: Completion) -> list[Request]:
        if len(seen) == 4:
            os.kill(victim, signal.SIGKILL)
        seen.append(completion.request_id)
        chain, _, turn = completion.request_id.partition("/")
        prompt = (*ids, *completion.token_ids[:8])
        return [Request(f"{chain}/{int(turn) + 1}", prompt, Sampling(max_tokens=32))] if int(turn) < 2 else []

    first = [Request(f"{chain}/0", ids, Sampling(max_tokens=32)) for chain in range(6)]
    done = pool.generate(first, follow)
    assert [c.request_id for c in done[:6]] == [r.id for r in first]
    assert (
        sorted(seen) == sorted(c.request_id for c in done) == [f"{chain}/{t}" for chain in range(6) for t in range(3)]
    )
    assert all(seen.index(f"{c}/0") < seen.index(f"{c}/1") < seen.index(f"{c}/2") for c in range(6))
    assert {c.finish for c in done} <= {FinishReason.EOS, FinishReason.LIMIT}
    assert pool.replaced == replaced + 1


def test_a_rollout_that_nobody_wants_any_more_is_cancelled(pool: Any) -> None:
    failed: list[BaseException] = []

    def draw() -> None:
        try:
            generate(pool, long=True)
        except EngineError as error:
            failed.append(error)

    thread = threading.Thread(target=draw)
    pool.cancelled.set()
    thread.start()
    thread.join(timeout=60)
    pool.cancelled.clear()
    assert "cancelled" in str(failed[0])
    assert len(generate(pool)) == 8


def test_a_request_that_the_engine_refuses_is_a_failure_with_its_cause(pool: Any) -> None:
    requests = [Request(str(i), (1, 2, 3), GREEDY) for i in range(3)]
    hot = Request("hot", (1, 2, 3), Sampling(temperature=-1.0, max_tokens=4))
    done = pool.generate([*requests, hot])
    assert done[3].finish is FinishReason.ERROR
    assert "refused" in str(done[3].error)
    assert {c.finish for c in done[:3]} <= {FinishReason.EOS, FinishReason.LIMIT}


def test_incomplete_weights_are_refused_and_do_not_count(pool: Any) -> None:
    import torch

    state = checkpoint_state(load_policy(ModelConfig(name=BUNDLED)), torch.bfloat16)
    before = pool.version
    with pytest.raises(WeightSyncError):
        pool.sync_weights({name: value for name, value in state.items() if "q_proj" not in name})
    assert pool.version == before
    pool.sync_weights(state)
    assert pool.version == before + 1
