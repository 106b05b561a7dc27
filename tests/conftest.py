"""Settings of all tests: no network, no bars, hypothesis without surprises."""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CI", "1")
# Ray reads both when it is imported, once for all tests of this process; `test_token.py` looks at what lengthctl sets
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)
# The same 50 examples every time; `make test-all` looks at ten times as many, and at others each time.
settings.register_profile(
    "ci", derandomize=True, max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

gc.disable()  # while the modules of the tests are imported, which leaves millions of objects


def pytest_collection_finish() -> None:
    """What was imported stays to the end: the collector need not walk it again and again."""
    gc.freeze()
    gc.enable()
