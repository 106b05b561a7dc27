"""The rollout pool against what it stands on: bare vLLM, a copy in memory, and itself with an engine killed every step.

Command: python scripts/bench/engines.py OUT.json   (two CPU cores: about 6 minutes)
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lengthctl.config import Config, ModelConfig, RewardSpec, RolloutConfig
from lengthctl.length import Target
from lengthctl.models import load_policy, load_tokenizer, resolve_model
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import build_length_prompts
from lengthctl.rewards.combine import build_combined
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.cluster import disconnect
from lengthctl.rollout.open import open_pool
from lengthctl.rollout.stopping import StopPolicy, stop_effect
from lengthctl.rollout.weights import checkpoint_state

REQUESTS, TOKENS, REPEATS, KILLED_STEPS = 128, 64, 3, 2
TARGETS = (10, 30, 50, 80)
MODEL = ModelConfig()

Result = dict[str, float | list[float]]
"""Numbers by name; a list holds the least and the greatest of the repeats."""


def make_requests(tokens: int) -> list[Request]:
    """Built-in requests, each to be answered with exactly so many tokens."""
    tokenizer = load_tokenizer(MODEL)
    seeds = load_seed_prompts(make_config(1).prompts, "train")
    sampling = Sampling(max_tokens=tokens, min_tokens=tokens)
    messages = [[dict(m) for m in seeds[i % len(seeds)].messages] for i in range(REQUESTS)]
    return [Request(str(i), tokenizer.prompt_ids(m), sampling) for i, m in enumerate(messages)]


def make_config(engines: int) -> Config:
    """All cores shared out over so many engines, each with the slots that an engine has by default."""
    return Config(model=MODEL, rollout=RolloutConfig(engines=engines), rewards=[RewardSpec(name="log_ratio")])


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def bare(file: Path) -> None:
    """In a process of its own: the same prompts through `LLM.generate`, seconds of each repeat."""
    data = json.loads(file.read_text())
    from vllm import LLM, SamplingParams

    torch.set_num_threads(data["threads"])
    llm = LLM(data["model"], dtype="bfloat16", enforce_eager=True, max_num_seqs=REQUESTS, max_model_len=512)
    params = SamplingParams(max_tokens=TOKENS, min_tokens=TOKENS, logprobs=0, detokenize=False)
    prompts = [{"prompt_token_ids": ids} for ids in data["prompts"]]
    times = [seconds(lambda: llm.generate(prompts, params, use_tqdm=False)) for _ in range(REPEATS + 1)]
    file.write_text(json.dumps(times[1:]))


def against_bare(out: Path) -> Result:
    """Tokens a second of the pool over those of `LLM.generate` at the same batch; sync over a copy of the weights.
    Medians of the repeats; the range is of the slowest over the fastest and the other way round."""
    requests = make_requests(TOKENS)
    pool = open_pool(make_config(1), load_tokenizer(MODEL), context_tokens=512)
    state = checkpoint_state(load_policy(MODEL), torch.bfloat16)
    syncs = [seconds(lambda: pool.sync_weights(state)) for _ in range(REPEATS)]
    copies = [seconds(lambda: {name: value.clone() for name, value in state.items()}) for _ in range(REPEATS)]
    times = [seconds(lambda: pool.generate(requests)) for _ in range(REPEATS + 1)][1:]
    pool.close()
    disconnect()
    file = out.with_suffix(".bare.json")
    threads = len(os.sched_getaffinity(0))
    prompts = [list(r.prompt_ids) for r in requests]
    file.write_text(json.dumps({"model": resolve_model(MODEL.name), "threads": threads, "prompts": prompts}))
    quiet = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1"}
    more = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(threads), "VLLM_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, __file__, "--bare", str(file)]
    subprocess.run(command, check=True, env={**os.environ, **quiet, **more}, stdout=subprocess.DEVNULL)
    plain = json.loads(file.read_text())
    file.unlink()
    return {
        "decode_rate_over_bare_vllm": statistics.median(plain) / statistics.median(times),
        "decode_rate_range": [min(plain) / max(times), max(plain) / min(times)],
        "tokens_per_second": REQUESTS * TOKENS / statistics.median(times),
        "sync_over_memcpy": statistics.median(syncs) / statistics.median(copies),
        "sync_seconds": statistics.median(syncs),
        "sync_seconds_range": [min(syncs), max(syncs)],
    }


def early_stop() -> Result:
    """What the reward-aware stop spares on prompts as an untrained model answers them, and what engines generated
    beyond what any completion holds."""
    config = make_config(1)
    tokenizer = load_tokenizer(MODEL)
    prompts = build_length_prompts(
        load_seed_prompts(config.prompts, "train"), [Target(words) for words in TARGETS], wordings=None, seed=0
    )[:REQUESTS]
    requests = [
        Request(str(i), tokenizer.prompt_ids([dict(m) for m in p.messages]), Sampling(max_tokens=256), target=p.target)
        for i, p in enumerate(prompts)
    ]
    is_spent = build_combined([RewardSpec(name="log_ratio", args={"factor": 4.4817, "smoothing": 1.0})]).is_spent
    pool = open_pool(config, tokenizer, context_tokens=512)
    pool.generate(requests[:16])
    made = sum(stats["tokens"] for stats in pool.engine_stats())
    whole, times = [], []
    for only_measure in (True, False):
        started = time.perf_counter()
        whole.append(pool.generate(requests, stop=StopPolicy(is_spent, only_measure)))
        times.append(time.perf_counter() - started)
    made = sum(stats["tokens"] for stats in pool.engine_stats()) - made
    pool.close()
    disconnect()
    told = sum(len(c.token_ids) for done in whole for c in done)
    effect = stop_effect(whole[0])
    return {
        "wasted_token_share": 1 - told / made,
        "reward_stop_saved_token_share": effect["saved_token_fraction"],
        "reward_stop_normaliser_ratio": effect["normaliser_ratio"],
        "reward_stop_time_ratio": times[1] / times[0],
    }


def goodput() -> Result:
    """Seconds of steps undisturbed over seconds of the same with one of two engines killed in each.

    A step is what a rollout does in training and nothing else: weights synced to both engines, then 128 completions of
    128 tokens each. No update is counted, which no lost engine slows. The engine gets SIGKILL when the first completion
    ends (one of 4 tokens), so a whole start of an engine falls into each struck step. Undisturbed and struck steps
    alternate, since a machine's speed drifts; before an undisturbed one, both engines are waited for.
    """
    requests = make_requests(2 * TOKENS)
    early = [Request("early", requests[0].prompt_ids, Sampling(max_tokens=4, min_tokens=4)), *requests[1:]]
    pool = open_pool(make_config(2), load_tokenizer(MODEL), context_tokens=512)
    state = checkpoint_state(load_policy(MODEL), torch.bfloat16)
    pool.generate(requests[:16])

    def step(victims: list[int]) -> None:
        def kill(_: Any) -> None:
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)

        pool.sync_weights(state)
        done = pool.generate(early, kill)
        assert len({c.request_id for c in done}) == REQUESTS
        assert all(len(c.token_ids) == r.sampling.max_tokens for c, r in zip(done, early, strict=True))

    calm, struck = [], []
    for i in range(KILLED_STEPS):
        pids = pool.engine_pids()
        calm.append(seconds(lambda: step([])))
        struck.append(seconds(lambda pids=pids, i=i: step([pids[i % 2]])))  # type: ignore[misc]
    moved, replaced = pool.moved, pool.replaced
    pool.close()
    disconnect()
    assert replaced == KILLED_STEPS
    return {
        "goodput_with_an_engine_killed_every_step": sum(calm) / sum(struck),
        "goodput_range": [min(calm) / max(struck), max(calm) / min(struck)],
        "undisturbed_step": statistics.mean(calm),
        "moved_requests_a_killed_step": moved / KILLED_STEPS,
    }


def main(out: Path) -> None:
    """Write and print one JSON object."""
    result: Result = {}
    for part in (lambda: against_bare(out), early_stop, goodput):
        for name, value in part().items():
            result[name] = [round(v, 3) for v in value] if isinstance(value, list) else round(value, 3)
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1] == "--bare":
        bare(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
