"""What an engine is asked to be, by where it runs."""

from __future__ import annotations

from typing import Any

import pytest

from lengthctl.rollout.engine_actor import EngineSettings


def of_the_device(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": "m",
        "name": "engine-0",
        "threads": 1,
        "max_num_seqs": 12,
        "max_model_len": 64,
        "kv_cache_gib": None,
        "dtype": "bfloat16",
        "seed": 0,
        "stop_token_ids": (2,),
    }
    return EngineSettings(**{**settings, **changes}).of_the_device()


def test_a_cpu_takes_no_graphs_and_its_cache_from_the_environment() -> None:
    assert of_the_device(kv_cache_gib=3) == {"enforce_eager": True}
    assert EngineSettings("m", "e", 1, 1, 1, 3, "bfloat16", 0, ()).environment()["VLLM_CPU_KVCACHE_SPACE"] == "3"


@pytest.mark.parametrize(
    ("gpus", "tensor_parallel", "share"), [(0.25, 1, 0.25), (1, 1, None), (1.0, 1, None), (2, 2, None)]
)
def test_a_share_of_a_gpu_is_a_share_of_its_memory(gpus: float, tensor_parallel: int, share: float | None) -> None:
    found = of_the_device(gpus=gpus)
    assert found["tensor_parallel_size"] == tensor_parallel
    assert found.get("gpu_memory_utilization") == share
    assert "enforce_eager" not in found
    assert "kv_cache_memory_bytes" not in found


def test_graphs_are_captured_up_to_the_most_sequences() -> None:
    assert of_the_device(gpus=1)["compilation_config"]["cudagraph_capture_sizes"] == [1, 2, 4, 8, 12]


def test_a_cache_that_is_named_is_taken_on_a_gpu_too() -> None:
    assert of_the_device(gpus=0.5, kv_cache_gib=2)["kv_cache_memory_bytes"] == 2 * 2**30
