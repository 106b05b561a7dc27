"""Ray, started for one command on this machine, or joined where RAY_ADDRESS names a cluster."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lengthctl.errors import EndpointError, EngineError, MissingDependencyError, first_line

__all__ = ["NO_GUESTS", "Guests", "connect", "disconnect", "usable_cores"]

_CONNECT_SECONDS = 5.0
_SHARE_ROUNDING = 1e-6
"""Three times a third of a GPU is one."""

_HTTP2_SETTINGS = 4
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, _HTTP2_SETTINGS, 0, 0, 0, 0, 0])
"""Client preface and empty settings; a gRPC server answers with its own settings (RFC 9113, section 3.4)."""


@dataclass(frozen=True)
class Guests:
    """What the engines of a second pool will ask for."""

    cpus: int = 0
    """Cores, together; a Ray of our own has them on top, whether or not the machine has."""
    gpus: tuple[float, ...] = ()
    """Of each."""


NO_GUESTS = Guests()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def connect(
    *,
    cpus: int,
    object_store_gib: float,
    engines: int = 1,
    gpus: float = 0,
    guests: Guests = NO_GUESTS,
) -> None:
    """Start or join Ray; does nothing when it runs already.

    A Ray of our own listens on loopback only and takes calls with a token made for this run, unless the caller has
    imported Ray already; a cluster that is joined keeps its own rules.

    Args:
        cpus: cores that all engines ask for together.
        object_store_gib: shared memory of a Ray of our own.
        engines: how many share the cores, each on one node.
        gpus: that each engine asks for, a share of one or whole ones.
        guests: that will come to the same Ray.

    Raises:
        EndpointError: RAY_ADDRESS does not answer, or not as Ray does.
        EngineError: there are fewer cores or GPUs than the engines ask for.
        MissingDependencyError: Ray is not installed.
    """
    for key, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with the address below, nothing listens outside loopback
        "RAY_DEDUP_LOGS": "0",
    }.items():
        os.environ.setdefault(key, value)
    address = os.environ.get("RAY_ADDRESS")
    # read when Ray is imported, so a caller who did that has chosen; its processes inherit both, and no file is written
    if not address and "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("ray is not installed", "Run `pip install ray`") from error
    if ray.is_initialized():
        return
    with _kept_sigterm():
        if address:
            _join(address)
            _check_cores(cpus, engines)
        else:
            _check_machine(cpus, engines)
            _start(cpus + guests.cpus, object_store_gib)
    try:
        _check_gpus([*[gpus] * engines, *guests.gpus])
    except EngineError:
        disconnect()
        raise


def _join(address: str) -> None:
    import ray

    _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        raise EndpointError(
            f"RAY_ADDRESS={address} refused the connection ({first_line(error)})",
            "Start the cluster with `ray start --head`, or unset RAY_ADDRESS to run on this machine",
        ) from error


def _check_cores(cpus: int, engines: int) -> None:
    """Ray would wait for a larger cluster without end."""
    import ray

    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    each = cpus // engines
    room = sum(cores // each for cores in nodes)
    if room < engines:
        raise EngineError(
            f"{engines} engines ask for {each} cores each, and the cluster's nodes have {nodes}: room for {room}",
            "Lower rollout.engines or rollout.threads, or add nodes",
        )


def _check_gpus(demands: Sequence[float]) -> None:
    """Ray would wait for more of them without end."""
    import ray

    nodes = [[1.0] * int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]
    found = sum(map(len, nodes))
    if not all(_takes_gpus(nodes, demand) for demand in sorted(demands, reverse=True)):
        asked = ", ".join(f"{demand:g}" for demand in demands)
        raise EngineError(
            f"engines ask for {asked} GPUs, and there are {found}: not all find room",
            "Lower rollout.engines, rollout.gpus or judge.gpus; 0.3 takes that share of one",
        )


def _takes_gpus(nodes: list[list[float]], demand: float) -> bool:
    """Whether a node has room for an engine, which is then taken: of one GPU, or of whole ones."""
    for gpus in nodes:
        free = [place for place, left in enumerate(gpus) if left + _SHARE_ROUNDING >= min(demand, 1.0)]
        if len(free) >= demand:
            for place in free[: max(1, int(demand))]:
                gpus[place] -= min(demand, 1.0)
            return True
    return demand == 0


def _check_machine(cpus: int, engines: int) -> None:
    """A Ray of our own is told how many cores it has, and would believe it."""
    cores = usable_cores()
    if cpus > cores:
        raise EngineError(
            f"{engines} engines ask for {cpus // engines} cores each, and this machine has {cores}",
            "Lower rollout.engines or rollout.threads",
        )


def _start(cpus: int, object_store_gib: float) -> None:
    import ray

    ray.init(
        address="local",  # a killed run may have left its address file; plain init would then try to join it
        num_cpus=cpus,
        object_store_memory=int(object_store_gib * 2**30),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        _node_ip_address="127.0.0.1",
    )


@contextmanager
def _kept_sigterm() -> Iterator[None]:
    """ray.init (2.60) puts its own SIGTERM handler in place of the caller's, and the process then aborts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def disconnect() -> None:
    """Stop what `connect` started."""
    with suppress(ImportError):
        import ray

        if ray.is_initialized():
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray retries a dead address for minutes; ask the socket first."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    remedy = "Start the cluster with `ray start --head`, or unset RAY_ADDRESS to run on this machine"
    if not port.isdigit():
        return  # "auto" and the like
    if not host:
        raise EndpointError(f"RAY_ADDRESS={address} names no host", remedy)
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS) as peer:
            is_grpc = os.environ.get("RAY_USE_TLS", "0") not in ("", "0") or _speaks_grpc(peer)
    except OSError as error:
        raise EndpointError(f"RAY_ADDRESS={address} does not answer ({error.strerror or error})", remedy) from error
    if not is_grpc:
        raise EndpointError(f"RAY_ADDRESS={address} is no Ray cluster: it does not speak gRPC", remedy)


def _speaks_grpc(peer: socket.socket) -> bool:
    peer.sendall(_HTTP2_HELLO)
    head = peer.recv(4)
    return len(head) == 4 and head[3] == _HTTP2_SETTINGS
