"""A cluster that does not answer, or is none, is named at once; so is a machine too small for the engines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from lengthctl.config import load_config
from lengthctl.errors import EndpointError, EngineError
from lengthctl.rollout import cluster
from lengthctl.rollout.cluster import connect

RECIPE = Path(__file__).parents[3] / "configs" / "quickstart.yaml"


@pytest.fixture
def web_server() -> Iterator[int]:
    """Answers every caller as a web server answers what it does not understand; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(1024)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def test_ray_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(EndpointError, match=r"RAY_ADDRESS=127\.0\.0\.1:9 does not answer.*unset RAY_ADDRESS"):
        connect(cpus=1, object_store_gib=0.1)


def test_ray_address_of_something_else(monkeypatch: pytest.MonkeyPatch, web_server: int) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{web_server}")
    with pytest.raises(EndpointError, match=r"is no Ray cluster.*unset RAY_ADDRESS"):
        connect(cpus=1, object_store_gib=0.1)


def test_ray_address_without_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ":6379")
    with pytest.raises(EndpointError, match=r"names no host"):
        connect(cpus=1, object_store_gib=0.1)


def test_more_cores_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(EngineError, match=r"500 engines ask for 2 cores each, and this machine has .*rollout\.threads"):
        connect(cpus=1000, engines=500, object_store_gib=0.1)


def test_more_memory_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm")
    from lengthctl.models import load_tokenizer
    from lengthctl.rollout.open import open_pool

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = load_config(RECIPE, ["rollout.kv_cache_gib=90000"])
    with pytest.raises(EngineError, match=r"kv_cache_gib = 90000 need 90000 GiB, this machine has"):
        open_pool(config, load_tokenizer(config.model), context_tokens=128)


@pytest.mark.parametrize(
    ("nodes", "demands", "fits"),
    [
        ([1], [0.3, 0.6], True),
        ([1], [0.6, 0.6], False),
        ([2], [0.6, 0.6, 0.6], False),
        ([2], [0.6, 0.4, 0.6, 0.4], True),
        ([1], [1 / 3] * 3, True),
        ([1, 1], [2], False),
        ([1, 2], [2, 1], True),
        ([2], [2, 0.1], False),
        ([2], [1, 0.5, 0.5], True),
        ([0], [0, 0], True),
        ([], [0.1], False),
    ],
)
def test_engines_find_room_on_gpus_or_are_refused(
    monkeypatch: pytest.MonkeyPatch, nodes: list[int], demands: list[float], fits: bool
) -> None:
    ray = pytest.importorskip("ray")
    found = [
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": float(count)} if count else {"CPU": 2.0}} for count in nodes
    ]
    gone = {"Alive": False, "Resources": {"GPU": 8.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [*found, gone])
    with nullcontext() if fits else pytest.raises(EngineError, match=f"and there are {sum(nodes)}: not all find room"):
        cluster._check_gpus(demands)
