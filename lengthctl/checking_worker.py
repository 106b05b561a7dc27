"""The process that compares answers with math-verify: a JSON line in, a JSON line out. Started by `checking`, by path.

It imports nothing of this package and shares nothing with its parent but two pipes: it may be killed at any moment.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from typing import Any

_PARSE_SECONDS, _VERIFY_SECONDS = 5, 5


def _limit(kind: int, value: int) -> None:
    """Lower a limit of this process; one that is lower already stays. Only the soft limit of CPU time moves."""
    _, hard = resource.getrlimit(kind)
    soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (soft, hard if kind == resource.RLIMIT_CPU else soft))


def _allow_cpu(seconds: int) -> None:
    """CPU time for the next item. It ends a worker whose parent died while it was busy."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + seconds + 1)


def _reply(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _compare(math_verify: Any, reference: str, answer: str) -> tuple[str, str]:
    """Status and detail. Messages of exceptions are left out: they hold, or compute, what was compared."""
    parse, verify, too_long = math_verify.parse, math_verify.verify, math_verify.errors.TimeoutException
    try:
        expected = parse(f"${reference}$", parsing_timeout=_PARSE_SECONDS, raise_on_error=True)
    except (Exception, too_long):  # it derives from BaseException
        expected = []
    if not expected:
        return "error", "the reference answer cannot be read"
    try:
        found = parse(f"${answer}$", parsing_timeout=_PARSE_SECONDS, raise_on_error=True)
        if not found:
            return "wrong", "the answer cannot be read"
        try:
            is_equal = verify(expected, found, timeout_seconds=_VERIFY_SECONDS, raise_on_error=True)
        except Exception:  # one pair of readings cannot be compared; others may
            is_equal = verify(expected, found, timeout_seconds=_VERIFY_SECONDS)
    except too_long:
        return "timeout", "reading or comparing took too long"
    except Exception as error:
        return "error", type(error).__name__
    return ("correct" if is_equal else "wrong"), ""


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    memory_bytes, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    math_verify = importlib.import_module("math_verify")  # ahead of "ready", so that no item pays for it
    _reply(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        _allow_cpu(cpu_seconds)
        try:
            status, detail = _compare(math_verify, request["reference"], request["answer"])
        except BaseException as error:  # a late alarm, a deep recursion: the next item is not to pay for it
            status, detail = "error", type(error).__name__
        _reply(status=status, detail=detail)


if __name__ == "__main__":
    main()
