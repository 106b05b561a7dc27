"""How a command ends when something went wrong: one message on stderr, a traceback in a file, an exit code."""

from __future__ import annotations

import errno
import shutil
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["fail", "fail_unforeseen", "how_to_go_on", "write_traceback"]

_LIMITS = (errno.EDQUOT, errno.EFBIG)
"""Of a user's share of a disk, and of the size of a file."""
_LITTLE_BYTES = 1 << 16
"""Free space under which a failed write is taken to be for want of it."""


def how_to_go_on() -> str:
    """What the command at hand offers after an interruption."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if verb in ("bench", "data"):
        return "the same command goes on where it was"
    if verb in ("gen", "eval"):
        return "with --out the same command goes on where it was"
    return "`lengthctl train --resume RUN` goes on from the last checkpoint"


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
    noted = [note for note in getattr(error, "__notes__", []) if note.endswith("error.txt")]
    if _is_full_disk(error, Path(noted[0]).parent if noted else Path()):
        fail(f"the disk is full. Free some space; {how_to_go_on()}", 1)
    if isinstance(error, OSError) and error.errno in _LIMITS:
        fail(f"{error.strerror}: nothing more may be written here. Raise the limit; {how_to_go_on()}", 1)
    if isinstance(error, OSError) and error.filename is not None:
        fail(f"{error.filename}: {error.strerror}", 1)
    path = noted[0] if noted else write_traceback(Path(tempfile.mkdtemp(prefix="lengthctl-")) / "error.txt")
    fail(f"unexpected {type(error).__name__}: {error}. The traceback is in {path}; --debug shows it", 1)


def _is_full_disk(error: BaseException, folder: Path) -> bool:
    """Writing failed for want of space. safetensors (0.8) raises an error of its own that says so in its text, and
    `torch.save` (2.13) one that does not, so the disk of the run is asked too."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    if "No space left on device" in str(error):
        return True
    writes = isinstance(error, OSError | RuntimeError)
    return writes and folder.is_dir() and shutil.disk_usage(folder).free < _LITTLE_BYTES


def write_traceback(path: Path) -> Path:
    """Keep the traceback of the error under way, if the disk takes it; returns the path."""
    with suppress(OSError):
        path.write_text(traceback.format_exc(), encoding="utf-8")
    return path
