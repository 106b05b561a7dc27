"""The order of a transfer over NCCL, with Ray's real actors and in place of the group that needs GPUs a fake."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lengthctl.rollout.nccl import NcclTransfer

pytestmark = pytest.mark.e2e


class Recorder:
    """An engine's actor, as far as a transfer asks it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def start_weight_update(self) -> None:
        self.calls.append("start")

    def update_weights(self, request: Any) -> None:
        self.calls.append(request.update_info)

    def finish_weight_update(self) -> None:
        self.calls.append("finish")

    def told(self) -> list[Any]:
        return self.calls


class FakeEnd:
    """vLLM's trainer side without NCCL: the same client, the names in place of the tensors."""

    def __init__(self, actor: Any, gpus: int) -> None:
        from vllm.distributed.weight_transfer.clients import RayVLLMWeightSyncClient

        self.client = RayVLLMWeightSyncClient(actor)
        self.source = SimpleNamespace(state={})

    def send_weights(self) -> None:
        if not self.source.state:
            threading.Event().wait()  # a peer that never comes
        self.client.start_weight_update()
        self.client.update_weights({"names": list(self.source.state)})
        self.client.finish_weight_update()


@pytest.fixture
def actor() -> Iterator[Any]:
    import ray

    from lengthctl.rollout.cluster import connect, disconnect

    connect(cpus=1, engines=1, object_store_gib=0.1)
    yield ray.remote(num_cpus=0)(Recorder).remote()
    disconnect()


def test_one_group_for_every_version_and_a_lost_peer_ends_in_time(actor: Any) -> None:
    import ray

    opened: list[FakeEnd] = []

    def open_end(engine: Any, gpus: int) -> FakeEnd:
        opened.append(FakeEnd(engine, gpus))
        return opened[-1]

    transfer = NcclTransfer(actor, 1, open_end)
    transfer.send({"a": None}, 60)  # type: ignore[dict-item]
    transfer.send({"a": None, "b": None}, 60)  # type: ignore[dict-item]
    expected = ["start", {"names": ["a"]}, "finish", "start", {"names": ["a", "b"]}, "finish"]
    assert ray.get(actor.told.remote()) == expected
    assert len(opened) == 1
    with pytest.raises(TimeoutError):
        transfer.send({}, 0.2)


def test_the_real_end_is_built_from_the_installed_interface() -> None:
    """What `open_endpoint` hands to vLLM exists under these names; NCCL itself needs a GPU."""
    from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource
    from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

    info = NCCLTrainerInitInfo(master_address="127.0.0.1", master_port=1, world_size=2, rank=0)
    assert info.is_sender
    assert set(WeightSource.__abstractmethods__) == {"metadata", "__iter__"}
    assert list(ParamMeta.__dataclass_fields__) == ["name", "dtype", "shape"]
    assert callable(NCCLTrainerWeightTransferEngine.trainer_init)
