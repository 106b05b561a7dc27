"""A cluster that does not answer is named at once."""

from __future__ import annotations

import pytest

from lengthctl.errors import EndpointError
from lengthctl.rollout.cluster import connect


def test_ray_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(EndpointError, match=r"RAY_ADDRESS=127\.0\.0\.1:9 does not answer.*unset RAY_ADDRESS"):
        connect(cpus=1, object_store_gib=0.1)
