"""Ray, started for one command on this machine, or joined where RAY_ADDRESS names a cluster."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lengthctl.errors import EndpointError, MissingDependencyError, first_line

__all__ = ["connect", "disconnect"]

_CONNECT_SECONDS = 5.0


def connect(*, cpus: int, object_store_gib: float) -> None:
    """Start or join Ray; does nothing when it runs already.

    Raises:
        EndpointError: RAY_ADDRESS does not answer.
        MissingDependencyError: Ray is not installed.
    """
    for key, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with the address below, nothing listens outside loopback
        "RAY_DEDUP_LOGS": "0",
    }.items():
        os.environ.setdefault(key, value)
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("ray is not installed", "Run `pip install ray`") from error
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    with _kept_sigterm():
        if address:
            _join(address)
        else:
            _start(cpus, object_store_gib)


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
    if not host or not port.isdigit():
        return  # "auto" and the like
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise EndpointError(
            f"RAY_ADDRESS={address} does not answer ({error.strerror or error})",
            "Start the cluster with `ray start --head`, or unset RAY_ADDRESS to run on this machine",
        ) from error
