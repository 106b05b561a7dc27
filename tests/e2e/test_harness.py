"""lm-evaluation-harness runs our tasks on the real model, and its numbers are ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lengthctl.evaluate.metrics import summarise
from lengthctl.evaluate.tlg import tlg_hits
from lengthctl.models import BUNDLED, resolve_model
from lengthctl.pipelines.score_file import Columns, score_file
from lengthctl.records import read_records
from lengthctl.scoring import Scored

pytestmark = pytest.mark.e2e

LIMIT = 9
"""All nine targets of one prompt."""
COMMON = {"abs_relative_deviation": "mean_abs_relative_deviation", "s_l": "s_l"}


def test_the_harness_agrees_with_our_own_scores(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm_eval comes with requirements/dev.txt")
    include = run_module("lengthctl.evaluate.harness").strip()
    run_module(
        *("lm_eval", "run", "--model", "hf", "--device", "cpu", "--batch_size", str(LIMIT)),
        *("--model_args", f"pretrained={resolve_model(BUNDLED)},dtype=float32"),
        *("--include_path", include, "--tasks", "lengthctl_tlg,lengthctl_s_l", "--limit", str(LIMIT)),
        *("--gen_kwargs", "max_gen_toks=48", "--apply_chat_template", "--log_samples", "--output_path", str(tmp_path)),
    )
    (results_file,) = tmp_path.rglob("results_*.json")
    results = json.loads(results_file.read_text(encoding="utf-8"))["results"]

    tlg = scored_again(tmp_path, "lengthctl_tlg")
    assert len({s.text for s in tlg}) > LIMIT // 2  # the model answered, and not always the same
    agree(results["lengthctl_tlg"], tlg, {**COMMON, "pm": "pm", "fm": "fm"})
    levels = tlg_hits((s.target, s.length) for s in tlg)
    for level in range(3):
        hits = levels[f"Level:{level}"]
        assert hits is not None
        assert results["lengthctl_tlg"][f"pm_level_{level},none"] == pytest.approx(hits.pm, abs=1e-9)
        assert results["lengthctl_tlg"][f"fm_level_{level},none"] == pytest.approx(hits.fm, abs=1e-9)
    agree(results["lengthctl_s_l"], scored_again(tmp_path, "lengthctl_s_l"), COMMON)


def run_module(*args: str) -> str:
    # two torch threads wait for each other in busy loops where another process takes a core
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *args]
    out = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert out.returncode == 0, out.stderr[-3000:]
    return out.stdout


def scored_again(folder: Path, task: str) -> list[Scored]:
    """The outputs that the harness logged, scored by `lengthctl score`'s function."""
    (samples,) = folder.rglob(f"samples_{task}_*.jsonl")
    rows = [{"text": r["resps"][0][0], "target": r["doc"]["target"]} for _, r in read_records(samples)]
    path = folder / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return score_file(path, Columns(), target=None).scored


def agree(found: dict[str, Any], scored: list[Scored], measures: dict[str, str]) -> None:
    ours = summarise(scored, 0)["overall"]
    assert len(scored) == LIMIT
    for name, measure in measures.items():
        assert found[f"{name},none"] == pytest.approx(ours[measure]["value"], abs=1e-9)
