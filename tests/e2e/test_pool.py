"""Two real engines: every request answered once and in order, weights synced exactly, wrong weights refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lengthctl.config import Config, ModelConfig, RewardSpec, RolloutConfig
from lengthctl.errors import WeightSyncError
from lengthctl.models import BUNDLED, load_policy, load_tokenizer
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.open import open_pool
from lengthctl.rollout.weights import checkpoint_state

pytestmark = pytest.mark.e2e

GREEDY = Sampling(temperature=0.0, max_tokens=16)


@pytest.fixture(scope="module")
def pool() -> Iterator[Any]:
    from lengthctl.rollout.cluster import disconnect

    config = Config(
        model=ModelConfig(name=BUNDLED),
        rollout=RolloutConfig(engines=2, threads=1, max_num_seqs=3),
        rewards=[RewardSpec(name="log_ratio")],
    )
    opened = open_pool(config, load_tokenizer(config.model), context_tokens=128)
    yield opened
    opened.close()
    disconnect()


def generate(pool: Any, count: int = 8) -> list[Completion]:
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED))
    words = ("rain", "bread", "a lighthouse", "chess", "winter", "the moon", "a train", "tea")
    prompts = [tokenizer.prompt_ids([{"role": "user", "content": f"Tell me of {word}."}]) for word in words[:count]]
    done: list[Completion] = pool.generate([Request(str(i), ids, GREEDY) for i, ids in enumerate(prompts)])
    return done


def tokens(done: list[Completion]) -> list[tuple[int, ...]]:
    return [c.token_ids for c in done]


def test_more_requests_than_slots_come_back_once_and_in_order(pool: Any) -> None:
    done = generate(pool)
    assert [c.request_id for c in done] == [str(i) for i in range(8)]
    assert {c.engine for c in done} == {"engine-0", "engine-1"}
    assert all(len(c.logprobs) == len(c.token_ids) <= 16 for c in done)
    assert {c.finish for c in done} <= {FinishReason.EOS, FinishReason.LIMIT}


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


def test_incomplete_weights_are_refused_and_do_not_count(pool: Any) -> None:
    import torch

    state = checkpoint_state(load_policy(ModelConfig(name=BUNDLED)), torch.bfloat16)
    before = pool.version
    with pytest.raises(WeightSyncError):
        pool.sync_weights({name: value for name, value in state.items() if "q_proj" not in name})
    assert pool.version == before
    pool.sync_weights(state)
    assert pool.version == before + 1
