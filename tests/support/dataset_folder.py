"""A folder that `datasets.load_dataset` reads as it reads a hub dataset of two subsets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CARD = """---
configs:
- config_name: easy
  data_files:
  - {split: train, path: easy/train.jsonl}
  - {split: test, path: easy/test.jsonl}
- config_name: hard
  data_files: hard/train.jsonl
---
"""


def write_dataset_folder(folder: Path, row: Mapping[str, Any] | None = None, *, rows: int = 1) -> str:
    """`rows` rows a part, each with `part` in it, e.g. `easy/test`; by default a question and an answer."""
    for part in ("easy/train", "easy/test", "hard/train"):
        made: Sequence[Mapping[str, Any]] = [
            {**(row or {"question": f"Why {n}? {part}", "answer": f"So. #### {n}"}), "part": part} for n in range(rows)
        ]
        file = folder / f"{part}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(one) + "\n" for one in made))
    (folder / "README.md").write_text(CARD)
    return str(folder)
