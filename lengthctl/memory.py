"""Memory of a run: its peak over all its processes, and an allocator that does not give pages back at every step."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from contextlib import suppress
from pathlib import Path

__all__ = [
    "MemoryMonitor",
    "keep_freed_memory",
    "memory_is_short",
    "release_freed_memory",
    "release_gpu_memory",
    "total_memory",
]

_PERIOD_SECONDS = 1.0


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt (malloc.h)."""


def keep_freed_memory() -> None:
    """Let freed memory stay with this process, in huge pages where the system offers them; call before torch is
    imported.

    By default glibc hands large tensors back to the system when they are freed, and every new one is paged in and
    zeroed again: a fifth of the time of a training step on two cores. Does nothing on other C libraries.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def release_freed_memory() -> None:
    """Give back what `keep_freed_memory` held: between the phases of a step, for the other processes, and so that
    blocks of many sizes do not scatter over ever more memory. Does nothing on other C libraries."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def release_gpu_memory() -> None:
    """Give a GPU's memory back that nothing here refers to any more: an engine that starts beside this process looks at
    what is free."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def memory_is_short() -> bool:
    """Less than a quarter of this machine's memory is available."""
    import psutil

    memory = psutil.virtual_memory()
    return bool(memory.available < memory.total / 4)


def total_memory() -> int:
    """Bytes that this process and all its descendants hold, Ray's workers among them: the sum of their PSS."""
    import psutil

    total = 0
    with suppress(psutil.Error):
        process = psutil.Process()
        total = sum(_proportional_set_size(p.pid) for p in (process, *process.children(recursive=True)))
    return total


def _proportional_set_size(pid: int) -> int:
    """PSS of one process in bytes (Linux); 0 where it cannot be read. Shared pages are split over their users."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class MemoryMonitor:
    """Peak of `total_memory`; sampled once a second on a thread of its own, from `start` to `stop`."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._run, name="memory-monitor", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> float:
        """End, and return the peak in GiB."""
        self._stopping.set()
        self._thread.join()
        return self._peak / 2**30

    def _run(self) -> None:
        while True:
            self._peak = max(self._peak, total_memory())
            if self._stopping.wait(_PERIOD_SECONDS):
                return
