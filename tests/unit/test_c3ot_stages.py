"""The script of C3oT's stages: what it calls, what it leaves out when it was done, and what it makes of the results."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def metric(value: float, low: float | None = None) -> dict[str, float]:
    return {"value": value, "low": value if low is None else low, "high": value, "n": 9}


def level(accuracy: float, tokens: float) -> dict[str, Any]:
    shares = dict.fromkeys(("truncation", "no_answer"), metric(0.0))
    return {
        "accuracy": metric(accuracy),
        "mean_total_tokens": metric(tokens),
        "median_total_tokens": metric(tokens),
        **shares,
    }


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Commands instead of running them; `eval` writes a summary in which each side saves 60 % at a point less."""
    made: list[list[str]] = []

    def lengthctl(folder: Path, *args: str) -> None:
        made.append(list(args))
        if args[0] == "data":
            out = Path(args[args.index("--out") + 1])
            out.mkdir()
            (out / "stats.json").write_text(json.dumps({"measured": {"compression": {"short": 0.9}}}))
        if args[0] == "eval":
            sides = [word for word in args if "@" in word]
            problems = {
                side: {
                    "overall": level(0.8 - 0.01 * bool(i), 100 - 60 * bool(i)),
                    "by_difficulty": {"1": level(0.9, 50)},
                }
                for i, side in enumerate(sides)
            }
            changes = {
                side: {
                    "accuracy": metric(-0.01, -0.015 if "short" in side else -0.03),
                    "mean_total_tokens": metric(-60),
                    "relative_total_tokens": metric(-0.6),
                    "aes_1_3_5": None,
                }
                for side in sides[1:]
            }
            out = Path(args[args.index("--out") + 1])
            out.mkdir(exist_ok=True)
            text = json.dumps({"versions": {}, "problems": problems, "problem_differences": changes})
            (out / "summary.json").write_text(text)

    monkeypatch.syspath_prepend(str(SCRIPTS))
    import verbs

    monkeypatch.setattr(verbs, "lengthctl", lengthctl)
    return made


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> None:
    monkeypatch.setattr(sys, "argv", ["c3ot_stages.py", *args])
    runpy.run_path(str(SCRIPTS / "c3ot_stages.py"), run_name="__main__")


def test_stages_follow_each_other_and_the_verdict_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    run(monkeypatch, str(out), str(tmp_path / "base"), str(tmp_path / "rows.jsonl"), "--seed", "7", "--problems", "50")
    data, train, evaluation = calls
    assert data[:3] == ["data", "c3ot", str(tmp_path / "rows.jsonl")]
    assert data[data.index("--compressor") + 1] == "equations"
    assert train[:2] == ["train", "c3ot"]
    assert {f"model.name={tmp_path / 'base'}", "run.seed=7", "run.name=c3ot-none-7"} <= set(train)
    assert f"data.source={out / 'data-none' / 'train.jsonl'}" in train
    tuned = out / "c3ot-none-7"
    sides = [f"{tmp_path / 'base'}@plain", f"{tuned}@c3ot:condition=short", f"{tuned}@c3ot:condition=long"]
    assert evaluation[1:4] == sides
    assert "evaluate.problem_limit=50" in evaluation
    result = json.loads((out / "c3ot-7.json").read_text())
    assert set(result["sides"]) == {"base", "none short", "none long"}
    short, long = result["sides"]["none short"], result["sides"]["none long"]
    assert (short["is_not_inferior"], short["saves_half"], short["compression"]) == (True, True, 0.6)
    assert long["is_not_inferior"] is False
    assert result["data"]["none"]["compression"]["short"] == 0.9
    assert "60 % of the tokens saved, not inferior" in capsys.readouterr().out


def test_what_was_done_is_not_done_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[list[str]]
) -> None:
    out = tmp_path / "o"
    for name in ("none", "no_condition"):
        (out / f"data-{name}").mkdir(parents=True)
        (out / f"data-{name}" / "stats.json").write_text('{"measured": {}}')
    (out / "c3ot-none-42").mkdir()
    (out / "c3ot-none-42" / "summary.json").write_text("{}")
    (out / "c3ot-no_condition-42").mkdir()
    (out / "c3ot-no_condition-42" / "config.resolved.yaml").write_text("")
    run(monkeypatch, str(out), str(tmp_path / "base"), "rows.jsonl", "--ablation", "none", "no_condition")
    resumed, evaluation = calls
    assert resumed == ["train", "--resume", str(out / "c3ot-no_condition-42")]
    assert [word.partition("@")[2] for word in evaluation if "@" in word] == [
        "plain",
        "c3ot:condition=short",
        "c3ot:condition=long",
        "plain",
    ]
