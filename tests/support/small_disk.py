"""A file system of a few kilobytes, so that it is really full."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs at `path`; skips the test where it may not be mounted."""

    def __init__(self, path: Path, size: str) -> None:
        self.path = path
        path.mkdir()
        out = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True)
        if out.returncode:
            pytest.skip(f"no file system can be mounted here: {out.stderr.decode().strip()}")

    def grow(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)
