"""The report page: from synthetic samples; hostile text stays text, the same data gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_evaluation import write_evaluation

from lengthctl.errors import DataError
from lengthctl.evaluate.card import model_card
from lengthctl.evaluate.metrics import compare, summarise
from lengthctl.evaluate.report import write_report
from lengthctl.length import Target
from lengthctl.scoring import Scored, score_text

HOSTILE = "<script>alert(1)</script> \x1b[31mred \u202eback " + "long " * 20_000

METRIC = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 60}


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    before, after = samples(2.0), samples(1.0)
    write_samples(folder / "samples" / "before.jsonl", before)
    write_samples(folder / "samples" / "after.jsonl", after)
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
    (folder / "summary.json").write_text(json.dumps(summary))
    metrics = [{"step": i, "split": "train", "reward": i / 10} for i in range(5)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(m) + "\n" for m in metrics))
    return folder


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    return write_report(made).read_text()


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_page_is_self_contained_and_escaped(page: str) -> None:
    assert "PM went from" in page
    assert page.count("<script") == 1  # the filter's own; nothing else may run
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "characters in all" in page
    assert not re.search(r"https?://|//cdn|<link|<img|@import|<!--", page)
    assert len(page.encode()) < 2_000_000


def test_only_the_page_s_own_script_may_run(page: str) -> None:
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page


def test_same_data_same_bytes(made: Path, page: str) -> None:
    assert write_report(made).read_bytes() == page.encode()


def test_one_evaluation_alone(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({k: summary[k] for k in ("schema", "after", "seed", "config")}))
    (run / "samples" / "before.jsonl").unlink()
    (run / "metrics.jsonl").unlink()
    page = write_report(run).read_text()
    assert '<p class="verdict">PM ' in page
    assert "of 12 held-out prompts, seed 0" in page
    assert "Differences" not in page


def test_missing_and_torn_summary_are_named(run: Path) -> None:
    (run / "summary.json").write_text("{")
    with pytest.raises(DataError, match="is torn"):
        write_report(run)
    (run / "summary.json").unlink()
    with pytest.raises(DataError, match=r"does not exist.*--resume"):
        write_report(run)


def test_missing_samples_are_named(run: Path) -> None:
    (run / "samples" / "before.jsonl").unlink()
    assert "No samples of before were found." in write_report(run).read_text()
    (run / "samples" / "after.jsonl").unlink()
    with pytest.raises(DataError, match=r"after\.jsonl holds no samples"):
        write_report(run)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of four subjects, with reasoning and judge."""
    folder = tmp_path_factory.mktemp("evaluation")
    level = {"accuracy": METRIC, "tokens": {**METRIC, "value": 90.0}}
    summary = dict(write_evaluation(folder, reasoning={"plain": level, "budget": {**level, "tokens": METRIC}}))
    summary["subjects"]["close"]["judge"] = {"quality_score": METRIC, "unparsable": 3}
    (folder / "summary.json").write_text(json.dumps(summary))
    return write_report(folder).read_text()


def test_an_evaluation_tells_its_verdict_and_every_part(evaluation: str) -> None:
    verdict = re.search(r'<p class="verdict">(.*?)</p>', evaluation)
    assert verdict is not None
    assert verdict[1].startswith("close keeps its targets closest: PM 100.0 % [100.0, 100.0]")
    assert "of plain (60 completions of 12 held-out prompts a side, seed 42" in verdict[1]
    titles = re.findall(r"<h2>(.*?)</h2>", evaluation)
    assert [t.split(":")[0].split(".")[0] for t in titles] == [
        "close",
        "Adherence by target",
        "close",
        "close",
        "Not beaten on both counts",
        "Reasoning",
        "Quality by the judge",
        "Differences to plain",
        "Samples",
        "How it was measured",
    ]
    assert "tokens per hit" in evaluation
    assert "close: unparsable 3" in evaluation
    assert "lengthctl eval plain countdown close retry --seed 42" in evaluation
    assert "vllm 0.11.0" in evaluation


def test_samples_can_be_read_and_filtered(evaluation: str) -> None:
    assert "200 of 240 samples, worst first" in evaluation
    assert "40 are left out" in evaluation
    assert "random with seed 42" in evaluation
    samples = re.findall(
        r'<details class="sample" data-side="(\d)" data-target="(\d+)" data-hit="(hit|miss)">', evaluation
    )
    assert len(samples) == 200
    assert {side for side, _, _ in samples} == {"0", "1", "2", "3"}
    assert '<form id="filter" hidden' in evaluation  # shown by the script alone


def test_hostile_folders_stay_text_and_small(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>$\\frac{\u202e"
    text = "</pre><script>alert(1)</script>\x00\u2066\ud800" + "\"'&<" * 25_000
    rows = [score_text(text, Target(10), prompt_id="p", tokens=5, is_truncated=False)]
    record = {**rows[0].to_row(), "messages": [{"role": "user", "content": [text[:9000]]}]}
    lines = [json.dumps({**record, "text": text if i < 9 else text[:9000], "prompt_id": str(i)}) for i in range(250)]
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "a.jsonl").write_text("\n".join(lines) + "\n")
    subject = {**summarise(rows, 0), "samples": "samples/a.jsonl", "model": text[:300], "control": text[:300]}
    hostile = {"subjects": {name: subject}, "seed": 1, "command": text, "versions": {text: text}, "config": {"a": text}}
    (tmp_path / "summary.json").write_text(json.dumps(hostile))
    page = write_report(tmp_path).read_bytes().decode()
    assert len(page.encode()) < 2_000_000
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "250 samples" in page
    assert not any(c in page for c in "\x00\u2066\u202e")
    parser = Balanced()
    parser.feed(page)
    assert not parser.open


def test_samples_outside_the_folder_are_refused(tmp_path: Path) -> None:
    summary = dict(write_evaluation(tmp_path / "in", prompts=2))
    summary["subjects"]["plain"]["samples"] = "../secret.jsonl"
    (tmp_path / "in" / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(DataError, match="`plain` lie outside"):
        write_report(tmp_path / "in")


class Balanced(HTMLParser):
    """Tags that are open: none at the end of a sound page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


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
