"""How scripts call lengthctl."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lengthctl.rundir import RESOLVED_CONFIG, write_json


def lengthctl(folder: Path, *args: str) -> None:
    """Run a command in a folder; what it failed with, it has said."""
    code = subprocess.run([sys.executable, "-m", "lengthctl", *args], cwd=folder).returncode
    if code:
        sys.exit(code)


def run_stages(stages: Mapping[str, Callable[[Path, Namespace], None]], given: Namespace) -> None:
    """Those that `given.only` names, in their own order, each with the folder `given.out`, which is made."""
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name, stage in stages.items():
        if name in given.only:
            stage(out, given)


def train(folder: Path, run: Path, recipe: str, *options: str) -> None:
    """A training job, the rest of one that was interrupted, or nothing where it is done; refused under options that it
    was not begun with."""
    is_begun = (run / RESOLVED_CONFIG).is_file()
    same_options(folder, run, [f"recipe={recipe}", *options], is_begun=is_begun or (run / "summary.json").is_file())
    if (run / "summary.json").is_file():
        return
    if is_begun:
        lengthctl(folder, "train", "--resume", str(run))
    else:
        lengthctl(folder, "train", recipe, *options)


def same_options(folder: Path, made: Path, options: Sequence[str], *, is_begun: bool) -> None:
    """Keep the options that something in a folder is made with; end the script where it was begun with others.

    They lie in `FOLDER/options/NAME.json`. What was begun without such a file is taken as it is. `KEY=VALUE` counts as
    it was given last; the folder itself may have moved.
    """
    file = folder / "options" / f"{made.name}.json"
    asked: dict[str, str | None] = {}
    for option in options:
        key, separator, value = option.replace(str(folder), "OUT_FOLDER").partition("=")
        asked[key] = value if separator else None
    if not is_begun:
        write_json(file, asked)
    elif file.is_file() and (known := json.loads(file.read_text(encoding="utf-8"))) != asked:
        changed = [key for key in {**known, **asked} if known.get(key, ...) != asked.get(key, ...)]
        told = "; ".join(f"{key}: {known.get(key, 'not given')} -> {asked.get(key, 'not given')}" for key in changed)
        print(
            f"{made} was begun with other options ({told}). "
            f"Give those again, name another OUT_FOLDER or seed, or remove {made} and what was made from it",
            file=sys.stderr,
        )
        sys.exit(2)
