"""The real model on a GPU: engines that share it with the trainer, weights that arrive, and a training run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lengthctl.config import Config, ModelConfig, RewardSpec, RolloutConfig
from lengthctl.models import BUNDLED, load_policy, load_tokenizer
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.open import open_pool
from lengthctl.rollout.weights import checkpoint_state

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]


@pytest.fixture(scope="module")
def pool() -> Iterator[Any]:
    from lengthctl.rollout.cluster import disconnect

    rollout = RolloutConfig(engines=2, threads=1, gpus=0.1, kv_cache_gib=1)
    config = Config(model=ModelConfig(name=BUNDLED), rollout=rollout, rewards=[RewardSpec(name="log_ratio")])
    opened = open_pool(config, load_tokenizer(config.model), context_tokens=320)
    yield opened
    opened.close()
    disconnect()


def greedy(pool: Any) -> list[tuple[int, ...]]:
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED))
    prompts = [tokenizer.prompt_ids([{"role": "user", "content": f"Tell me of {word}."}]) for word in ("rain", "tea")]
    requests = [Request(str(i), ids, Sampling(temperature=0.0, max_tokens=24)) for i, ids in enumerate(prompts * 4)]
    return [completion.token_ids for completion in pool.generate(requests)]


def test_weights_of_the_trainer_are_those_that_the_engines_write_with(pool: Any) -> None:
    model = load_policy(ModelConfig(name=BUNDLED))
    before = greedy(pool)
    assert all(len(set(before[i::2])) == 1 for i in range(2)), "the same prompt twice, another answer"
    pool.sync_weights(checkpoint_state(model, torch.bfloat16))
    assert greedy(pool) == before
    with torch.no_grad():
        model.model.layers[3].mlp.down_proj.weight.mul_(0.5)
    pool.sync_weights(checkpoint_state(model, torch.bfloat16))
    changed = greedy(pool)
    assert changed != before
    with torch.no_grad():
        model.model.layers[3].mlp.down_proj.weight.mul_(2.0)
    pool.sync_weights(checkpoint_state(model, torch.bfloat16))
    assert greedy(pool) == before


def test_a_run_trains_beside_its_engine(tmp_path: Path) -> None:
    options = ["rollout.gpus=0.1", "rollout.kv_cache_gib=1", "trainer.max_steps=2", "evaluate.limit=4"]
    words = ["train", "quickstart", *options, f"run.dir={tmp_path}", "run.name=run"]
    result = subprocess.run([sys.executable, "-m", "lengthctl", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if record.get("split") == "train"]
    assert len(steps) == 2
    assert all(record["grad_norm"] > 0 for record in steps)
