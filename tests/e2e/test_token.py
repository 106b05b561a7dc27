"""A Ray that lengthctl starts refuses callers without the token of its run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e

OWNER = """
import os, subprocess, sys
from lengthctl.rollout.cluster import connect, disconnect
connect(cpus=1, engines=1, object_store_gib=0.1)
import ray
code = f"import ray; ray.init(address={ray.get_runtime_context().gcs_address!r}); print('let in')"
bare = {name: value for name, value in os.environ.items() if not name.startswith('RAY_AUTH')}
for environment in (bare, dict(os.environ)):
    out = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=120)
    print('RESULT', out.returncode == 0, 'let in' in out.stdout)
disconnect()
"""


def test_only_the_token_lets_in() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    out = subprocess.run([sys.executable, "-c", OWNER], env=clean, capture_output=True, text=True, timeout=300)
    results = [line for line in out.stdout.splitlines() if line.startswith("RESULT")]
    assert results == ["RESULT False False", "RESULT True True"], out.stderr[-2000:]
