"""Several trainer processes (`accelerate launch`): the first owns run folder, engines and logs; rows go to it and come
back. Everything here is the identity in a single process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = [
    "from_main",
    "gather_lists",
    "gathering_nothing",
    "is_main",
    "join_ranks",
    "leave_ranks",
    "merge_metrics",
    "rank",
    "world_size",
]

T = TypeVar("T")


def world_size() -> int:
    """Trainer processes, from the launcher's environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, 0 for the one that owns everything."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """This is the process that owns run folder, engines and logs."""
    return rank() == 0


def join_ranks(timeout_seconds: float) -> None:
    """Wait for the other processes; any later wait for one of them ends in an error after the timeout."""
    if world_size() == 1:
        return
    from datetime import timedelta

    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(seconds=timeout_seconds))


def leave_ranks() -> None:
    """The counterpart of `join_ranks`."""
    if world_size() > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()


def gather_lists(own: Sequence[T]) -> list[list[T]]:
    """The lists of all processes, by rank, in every process."""
    if world_size() == 1:
        return [list(own)]
    from accelerate.utils import gather_object

    shares: list[list[T]] = gather_object([list(own)])
    return shares


@contextmanager
def gathering_nothing(accelerator: Any) -> Iterator[None]:
    """Let `accelerator.gather` and `.reduce` return their own tensor: TRL gathers metrics in every loss, and processes
    that take other numbers of micro-batches, of other sizes, would wait for each other for ever."""
    accelerator.gather = accelerator.reduce = lambda tensor, *_, **__: tensor
    try:
        yield
    finally:
        del accelerator.gather, accelerator.reduce  # the class's own are seen again


def merge_metrics(metrics: MutableMapping[str, list[float]], earlier: Mapping[str, int]) -> None:
    """Give the first process what the others have added to their `metrics` since these had `earlier` lengths."""
    added = {name: values[earlier.get(name, 0) :] for name, values in metrics.items()}
    shares = gather_lists([added])
    if is_main():
        for share in shares[1:]:
            for name, values in share[0].items():
                metrics[name].extend(values)


def from_main(make: Callable[[], T]) -> T:
    """What `make` returns in the first process, in every process.

    Raises:
        SystemExit: in the others, when `make` failed in the first, which tells why.
    """
    if world_size() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    told: list[Any] = [None, False]
    if not is_main():
        broadcast_object_list(told)
        if not told[1]:
            raise SystemExit(1)
        value: T = told[0]
        return value
    try:
        told = [make(), True]
    finally:
        broadcast_object_list(told)
    result: T = told[0]
    return result
