"""Print the folder that `lm_eval --include_path` needs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.stdout.write(f"{Path(__file__).parent}\n")
