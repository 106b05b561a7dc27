"""Memory is that of all processes, and freed blocks stay."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from lengthctl.memory import MemoryMonitor, memory_is_short, total_memory


def test_peak_covers_this_process() -> None:
    monitor = MemoryMonitor()
    block = b"x" * (64 * 2**20)
    monitor.start()
    peak_gib = monitor.stop()
    assert peak_gib * 2**30 >= len(block)


def test_children_count() -> None:
    code = "block = b'x' * (200 * 2**20); print(len(block), flush=True); input()"
    alone = total_memory()
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert total_memory() - alone > 150 * 2**20
    child.communicate(b"\n")


def test_freed_memory_is_not_paged_in_again() -> None:
    code = """
import resource
from lengthctl.memory import keep_freed_memory
keep_freed_memory()
import ctypes
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def touch():
    block = malloc(64 << 20); ctypes.memset(block, 1, 64 << 20); free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert int(out.stdout) < 1000, out.stderr  # 64 MiB are 16,384 pages


def test_a_machine_is_short_below_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, short in ((24, True), (26, False)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda a=available: SimpleNamespace(total=100, available=a))
        assert memory_is_short() is short
