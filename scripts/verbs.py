"""How scripts call lengthctl."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def lengthctl(folder: Path, *args: str) -> None:
    """Run a command in a folder; what it failed with, it has said."""
    code = subprocess.run([sys.executable, "-m", "lengthctl", *args], cwd=folder).returncode
    if code:
        sys.exit(code)
