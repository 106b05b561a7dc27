"""A folder as `lengthctl eval A B C D` leaves it, drawn by a seeded generator: four subjects, five targets."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.length import Target
from lengthctl.scoring import Scored, score_text

TARGETS = (10, 20, 50, 80, 150)
SUBJECTS = {"plain": (0.6, 1.0), "countdown": (0.3, 1.2), "close": (0.02, 1.6), "retry": (0.1, 4.0)}
"""Spread of the log ratio, and tokens drawn for each that was kept."""
_WORDS = [f"word{i}" for i in range(400)]


def draw_subject(name: str, prompts: int = 12, samples: int = 1) -> list[Scored]:
    spread, _ = SUBJECTS[name]
    rng = random.Random(name)
    rows = []
    for target in TARGETS:
        for prompt in range(prompts):
            for _ in range(samples):
                words = max(1, round(target * 2 ** rng.gauss(-0.1 if name == "plain" else 0, spread)))
                text = " ".join(rng.choice(_WORDS) for _ in range(words)) + ("." if rng.random() < 0.9 else "")
                tokens = round(words * 1.3) + 1
                rows.append(
                    score_text(text, Target(target), prompt_id=f"p{prompt}", tokens=tokens, is_truncated=words > 250)
                )
    return rows


def write_sample_file(path: Path, rows: Sequence[Scored], **fields: Any) -> None:
    """Records as evaluation writes them; `fields` are added to each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in rows:
        message = {"role": "user", "content": f"Tell me about {row.prompt_id} in {row.target.value} words."}
        lines.append(json.dumps({"schema": 1, **row.to_row(), "messages": [message], "sample": 0, **fields}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_evaluation(folder: Path, *, prompts: int = 12, samples: int = 1, **extra: Any) -> Mapping[str, Any]:
    """Samples and `summary.json` of all subjects; `extra` is added to the summary, which is returned."""
    drawn = {name: draw_subject(name, prompts, samples) for name in SUBJECTS}
    subjects = {}
    for name, rows in drawn.items():
        path = folder / "samples" / f"{name}.jsonl"
        write_sample_file(path, rows)
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for i, record in enumerate(records):
            record |= {"drawn_tokens": round(record["tokens"] * SUBJECTS[name][1]), "control": name}
            record |= {"is_cut": name == "close" and i % 40 == 0, "sample": i % samples}
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        subjects[name] = {"model": "HuggingFaceTB/SmolLM2-135M-Instruct", "control": name, **summarise(rows, 0)}
        subjects[name]["samples"] = f"samples/{name}.jsonl"
    summary = {
        "schema": 1,
        "subjects": subjects,
        "differences": {name: compare(drawn["plain"], rows, 0) for name, rows in drawn.items() if name != "plain"},
        "minutes": {"engine": 0.4, **dict.fromkeys(drawn, 1.5)},
        "seed": 42,
        "command": "lengthctl eval plain countdown close retry --seed 42",
        "versions": {"python": "3.12.1", "lengthctl": "0.1.0", "vllm": "0.11.0"},
        "config": {"model": {"name": "m"}, "prompts": {"targets": list(TARGETS), "unit": "words"}},
        **extra,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return summary
