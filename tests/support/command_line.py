"""The command line in this process: a process of its own takes half a second to start."""

from __future__ import annotations

import functools
import io
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import typer.main
import typer.testing
from typer.testing import Result

from lengthctl.cli import app, main

__all__ = ["Ended", "lengthctl", "run_main"]

# It reads the signatures of all verbs again at every call, which takes longer than most of the verbs.
typer.testing._get_command = typer.main.get_command = functools.cache(typer.main.get_command)


@dataclass(frozen=True)
class Ended:
    """What a process would leave behind."""

    returncode: int
    stdout: str
    stderr: str


def lengthctl(*args: str, stdin: str | None = None) -> Result:
    """A verb, whose error stays in `exception` as `main` would see it."""
    return typer.testing.CliRunner().invoke(app, list(args), input=stdin)


def run_main(*args: str) -> Ended:
    """`lengthctl ARGS` up to its exit code. Not for what starts torch, Ray or vLLM: those move file descriptor 1."""
    out, err = io.StringIO(), io.StringIO()
    argv, on_term = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = ["lengthctl", *args]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as leaving:
        return Ended(int(leaving.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, on_term)
