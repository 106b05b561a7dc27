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


def train(folder: Path, run: Path, recipe: str, *options: str) -> None:
    """A training job, the rest of one that was interrupted, or nothing where it is done."""
    if (run / "summary.json").is_file():
        return
    if (run / "config.resolved.yaml").is_file():
        lengthctl(folder, "train", "--resume", str(run))
    else:
        lengthctl(folder, "train", recipe, *options)
