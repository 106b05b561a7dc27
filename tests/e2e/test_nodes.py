"""Engines on several Ray nodes: one node goes while it generates, another comes, and no sample is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lengthctl.config import Config, ModelConfig, RewardSpec, RolloutConfig
from lengthctl.errors import EngineError
from lengthctl.length import Target, Unit
from lengthctl.models import BUNDLED, load_policy, load_tokenizer
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.cluster import connect, disconnect
from lengthctl.rollout.open import open_pool
from lengthctl.rollout.weights import checkpoint_state

pytestmark = pytest.mark.e2e


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head with one core, and the address in the environment, as a user has it."""
    import ray
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized()
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    monkeypatch.setenv("RAY_ADDRESS", started.address)
    yield started
    disconnect()
    started.shutdown()


def config(engines: int) -> Config:
    return Config(
        model=ModelConfig(name=BUNDLED),
        rollout=RolloutConfig(engines=engines, threads=1, max_num_seqs=32),
        rewards=[RewardSpec(name="log_ratio")],
    )


def test_a_cluster_too_small_for_the_engines_is_refused(cluster: Any) -> None:
    with pytest.raises(EngineError, match=r"2 engines ask for 1 cores each, and the cluster's nodes have \[1\]"):
        connect(cpus=2, engines=2, object_store_gib=1)


def test_a_node_lost_and_one_added(cluster: Any) -> None:
    import torch

    leaving = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    said: list[str] = []
    wanted = config(2)
    tokenizer = load_tokenizer(wanted.model)
    pool = open_pool(wanted, tokenizer, context_tokens=700, say=said.append)
    try:
        state = checkpoint_state(load_policy(wanted.model), torch.bfloat16)
        pool.sync_weights(state)
        prompts = [tokenizer.prompt_ids([{"role": "user", "content": f"Tell me of number {i}."}]) for i in range(24)]
        requests = [Request(str(i), ids, Sampling(max_tokens=64)) for i, ids in enumerate(prompts)]
        done: list[Completion] = []

        def take_the_node(completion: Completion) -> None:
            done.append(completion)
            if len(done) == 4:
                cluster.remove_node(leaving, allow_graceful=False)

        out = pool.generate(requests, take_the_node)
        assert [c.request_id for c in out] == [r.id for r in requests]
        assert len(done) == len({c.request_id for c in done}) == 24
        assert {c.finish for c in out} <= {FinishReason.EOS, FinishReason.LIMIT}
        assert pool.replaced == 1
        assert any("is replaced" in line for line in said)

        leaving = cluster.add_node(num_cpus=1)
        assert len(pool.engine_pids()) == 2  # waits for the one that had no node
        assert pool.sync_weights(state) == 2
        again = pool.generate(requests)
        assert {c.weight_version for c in again} == {2}
        assert {c.engine for c in again} == {"engine-0", "engine-1"}

        done.clear()
        moved = pool.moved

        def change_the_node(completion: Completion) -> None:
            done.append(completion)
            if len(done) == 1:
                cluster.remove_node(leaving, allow_graceful=False)
                cluster.add_node(num_cpus=1)

        limits = [4, *[600] * 23]  # long enough that the engine which joins finds work worth moving
        fresh = [tokenizer.prompt_ids([{"role": "user", "content": f"Sing of number {i}."}]) for i in range(24)]
        exact = [  # with a target that tells the length: what runs long by surprise is thought to end soon
            Request(str(i), ids, Sampling(max_tokens=n, min_tokens=n), target=Target(n, unit=Unit.TOKENS))
            for i, (ids, n) in enumerate(zip(fresh, limits, strict=True))
        ]
        last = pool.generate(exact, change_the_node)
        assert [c.request_id for c in last] == [r.id for r in exact]
        assert len(done) == len({c.request_id for c in done}) == 24
        assert [len(c.token_ids) for c in last] == limits
        assert all(len(c.logprobs) == len(c.token_ids) for c in last)
        assert pool.replaced == 2
        assert pool.moved >= moved + 4  # nothing waited for the new engine, so it took over what ran
        assert {c.engine for c in last[1:]} == {"engine-0", "engine-1"}
    finally:
        pool.close()
