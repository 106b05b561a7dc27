"""Weights from the trainer's GPU to an engine's, over NCCL, by vLLM's own weight transfer (0.31).

In place of the object store, behind the same `sync_weights`. Each engine has a group of its own with the trainer, so
that one that is replaced needs no other to join again. **Written against the installed API; never run on a GPU.**
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["NcclTransfer", "open_endpoint"]


class NcclTransfer:
    """The trainer's end of one engine's transfers.

    Args:
        actor: an `EngineActor` that was built for NCCL.
        gpus: of that engine.
        open_end: makes vLLM's trainer side; a test hands in another.
    """

    def __init__(self, actor: Any, gpus: int, open_end: Callable[..., Any] | None = None) -> None:
        self._actor = actor
        self._gpus = gpus
        self._open_end = open_end or open_endpoint
        self._end: Any = None

    def send(self, state: Mapping[str, torch.Tensor], timeout_seconds: float) -> None:
        """Send one version, whole; the engine runs nothing meanwhile.

        Raises:
            TimeoutError: a peer did not come to the meeting, or went in the middle; the group is of no use any more.
            RuntimeError and others: of vLLM, NCCL or Ray.
        """
        result: Future[None] = Future()

        def run() -> None:
            try:
                if self._end is None:
                    self._end = self._open_end(self._actor, self._gpus)
                self._end.source.state = state
                self._end.send_weights()
                result.set_result(None)
            except BaseException as error:  # raised where the result is waited for
                result.set_exception(error)

        Thread(target=run, daemon=True).start()  # a lost peer leaves it in NCCL for ever
        result.result(timeout_seconds)


def open_endpoint(actor: Any, gpus: int) -> Any:
    """vLLM's trainer side of a new group, joined by the engine."""
    import ray
    import torch
    from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource
    from vllm.distributed.weight_transfer.clients import RayVLLMWeightSyncClient
    from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

    class StateSource(WeightSource):  # type: ignore[misc]  # vLLM is untyped here
        """A state dict, replaced before each transfer; tensors go to this process's GPU one by one."""

        state: Mapping[str, torch.Tensor]

        def metadata(self) -> list[Any]:
            return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.state.items()]

        def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
            device = torch.accelerator.current_accelerator()
            return ((name, tensor.to(device)) for name, tensor in self.state.items())

    meeting = NCCLTrainerInitInfo(
        master_address=ray.util.get_node_ip_address(), master_port=_free_port(), world_size=1 + gpus, rank=0
    )
    return NCCLTrainerWeightTransferEngine.trainer_init(
        meeting, client=RayVLLMWeightSyncClient(actor), source=StateSource()
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
