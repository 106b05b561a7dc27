"""The memory monitor sees what is allocated."""

from __future__ import annotations

import os

from lengthctl.memory import MemoryMonitor, proportional_set_size


def test_peak_covers_this_process() -> None:
    monitor = MemoryMonitor()
    block = b"x" * (64 * 2**20)
    monitor.start()
    peak_gib = monitor.stop()
    assert peak_gib * 2**30 >= len(block)
    assert proportional_set_size(os.getpid()) > 0
    assert proportional_set_size(2**22 + 1) == 0
