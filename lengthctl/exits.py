"""How a command ends when something went wrong: one message on stderr, a traceback in a file, an exit code."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["fail", "fail_unforeseen", "write_traceback"]


def fail(message: str, code: int) -> NoReturn:
    """Tell, and exit with `code`."""
    sys.stderr.write(f"lengthctl: {message}\n")
    sys.exit(code)


def fail_unforeseen(error: Exception, *, debug: bool) -> NoReturn:
    """An error that is none of ours: usage, a full disk, a file that cannot be used, or a bug, whose traceback is kept
    where a note of the error names the place, else in a temporary folder."""
    if hasattr(error, "format_message"):  # click's usage errors
        fail(error.format_message(), 2)
    if debug:
        raise error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        fail("the disk is full. Free some space; `lengthctl train --resume RUN` goes on from the last checkpoint", 1)
    if isinstance(error, OSError) and error.filename is not None:
        fail(f"{error.filename}: {error.strerror}", 1)
    noted = [note for note in getattr(error, "__notes__", []) if note.endswith("error.txt")]
    path = noted[0] if noted else write_traceback(Path(tempfile.mkdtemp(prefix="lengthctl-")) / "error.txt")
    fail(f"unexpected {type(error).__name__}: {error}. The traceback is in {path}; --debug shows it", 1)


def write_traceback(path: Path) -> Path:
    """Keep the traceback of the error under way, if the disk takes it; returns the path."""
    with suppress(OSError):
        path.write_text(traceback.format_exc(), encoding="utf-8")
    return path
