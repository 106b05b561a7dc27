"""The report page: from synthetic samples; hostile text stays text, the same data gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lengthctl.errors import DataError
from lengthctl.evaluate.card import model_card
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.evaluate.report import write_report
from lengthctl.length import Target
from lengthctl.scoring import Scored, score_text

HOSTILE = "<script>alert(1)</script> \x1b[31mred \u202eback " + "long " * 1000


def samples(scale: float) -> list[Scored]:
    rows = []
    for target in (10, 50):
        for i in range(12):
            text = HOSTILE if i == 0 else " ".join(f"w{j}" for j in range(int(target * scale) + i))
            rows.append(score_text(text, Target(target), prompt_id=f"p{i}", tokens=9, is_truncated=i == 1))
    return rows


def write_samples(path: Path, rows: Sequence[Scored]) -> None:
    path.parent.mkdir(exist_ok=True)
    messages = [{"role": "user", "content": "<b>ask</b>"}]
    lines = [json.dumps({"schema": 1, **row.to_row(), "messages": messages, "sample": 0}) for row in rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    before, after = samples(2.0), samples(1.0)
    write_samples(tmp_path / "samples" / "before.jsonl", before)
    write_samples(tmp_path / "samples" / "after.jsonl", after)
    config = {"model": {"name": "m"}, "prompts": {"source": "builtin", "unit": "words"}}
    summary: dict[str, Any] = {
        "schema": 1,
        "before": summarise(before, 0),
        "after": summarise(after, 0),
        "change": compare(before, after, 0),
        "minutes": {"train": 1.0},
        "peak_memory_gib": 2.0,
        "gflops_bf16": 400.0,
        "seed": 0,
        "command": "lengthctl quickstart",
        "config": config,
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    metrics = [{"step": i, "split": "train", "reward": i / 10} for i in range(5)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(m) + "\n" for m in metrics))
    return tmp_path


def test_page_is_self_contained_and_escaped(run: Path) -> None:
    page = write_report(run).read_text()
    assert "FM went from" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "characters in all" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert len(page) < 2_000_000


def test_same_data_same_bytes(run: Path) -> None:
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_one_evaluation_alone(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({k: summary[k] for k in ("schema", "after", "seed", "config")}))
    (run / "samples" / "before.jsonl").unlink()
    (run / "metrics.jsonl").unlink()
    assert "of completions lie in Ruler" in write_report(run).read_text()


def test_missing_and_torn_summary_are_named(run: Path) -> None:
    (run / "summary.json").write_text("{")
    with pytest.raises(DataError, match="is torn"):
        write_report(run)
    (run / "summary.json").unlink()
    with pytest.raises(DataError, match=r"does not exist.*--resume"):
        write_report(run)


def test_card_tells_both_sides_with_intervals(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["config"]["model"] |= {"chat_template": "chatml", "system_prompt": None}
    summary["change"]["by_target"]["10"]["fm"] = {"value": -0.2, "low": -0.3, "high": -0.1, "n": 4}
    card = model_card({**summary, "config_digest": "abc"})
    assert "PM" not in card.split("## What got worse")[1].split("##")[0]
    assert "- FM, 10: by 20.0 points" in card
    assert card.startswith("---\nlibrary_name: transformers")
    assert "| FM | " in card
    assert "quality was not measured" in " ".join(card.split())
