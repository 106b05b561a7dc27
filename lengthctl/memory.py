"""Peak memory of a run: the sum of PSS over this process and all its descendants, Ray's workers among them."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["MemoryMonitor", "proportional_set_size"]

_PERIOD_SECONDS = 1.0


def proportional_set_size(pid: int) -> int:
    """PSS of one process in bytes (Linux); 0 where it cannot be read. Shared pages are split over their users."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class MemoryMonitor:
    """Samples once a second on a thread of its own, from `start` to `stop`."""

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
        import psutil

        process = psutil.Process()
        while True:
            with suppress(psutil.Error):
                pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
                self._peak = max(self._peak, sum(map(proportional_set_size, pids)))
            if self._stopping.wait(_PERIOD_SECONDS):
                return
