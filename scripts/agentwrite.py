"""Long texts that a model plans and then writes part by part, as training data.

Command: python scripts/agentwrite.py OUT_FOLDER PROMPTS.jsonl [options of `lengthctl data agentwrite`]
         e.g. --model MODEL, or --endpoint URL --model NAME; --words 2000,5000 for prompts that name no length;
         --small for the bundled model; --control close to hold each part to its length; --dry-run to see the prompts
PROMPTS.jsonl has a request a row in `prompt` (a text or messages) and, if it likes, its length in `target`. A killed
command goes on and repeats no finished call.
"""

from __future__ import annotations

import sys
from pathlib import Path

from verbs import lengthctl


def main() -> None:
    """Hand the arguments on."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out, *rest = sys.argv[1:]
    lengthctl(Path.cwd(), "data", "agentwrite", *rest, "--out", out)


if __name__ == "__main__":
    main()
