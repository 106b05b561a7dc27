"""The commands in the headers of recipes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"


def commands(name: str, verb: str = "train") -> list[list[str]]:
    """The commands of a verb in a recipe's header, as words."""
    header = [line[1:] for line in (CONFIGS / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(header))
    return [shlex.split(line) for line in re.findall(rf"lengthctl {verb} .*", joined)]
