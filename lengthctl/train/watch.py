"""A wait that lasts is named while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["named_wait"]

_NOTICE_SECONDS = 20.0


@contextmanager
def named_wait(what: str, say: Callable[[str], None], *, every: float = _NOTICE_SECONDS) -> Iterator[None]:
    """Say what is waited for, every so many seconds, until the block ends."""
    ended = threading.Event()

    def tell() -> None:
        waited = 0.0
        while not ended.wait(every):
            waited += every
            say(f"waiting for {what}: {waited:.0f} s so far")

    threading.Thread(target=tell, name="named-wait", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
