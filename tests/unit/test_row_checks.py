"""What `lengthctl check` and `train --dry-run` say of the rows of data and prompts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lengthctl.cli import app
from lengthctl.errors import DataError
from lengthctl.pipelines import row_checks

SAID = [{"role": "user", "content": "a"}]
GIVEN = [{"role": "assistant", "content": "b"}]
PAIR = {"prompt": SAID, "chosen": GIVEN, "rejected": GIVEN}


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def check(*args: str) -> str:
    """What it prints; the message of what it refuses."""
    told = set()
    for command in (["check"], ["train", "--dry-run"]):
        out = CliRunner().invoke(app, [command[0], *args, *command[1:]])
        if out.exit_code == 0:
            told.add("" if command[0] == "train" else out.stdout.strip())
            continue
        assert isinstance(out.exception, DataError), out.exception
        told.add(str(out.exception))
    (found,) = told - {""}
    return found


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([{"prompt": "a"}, {"prompt": "b", "completion": " "}], "data without completions. Name their column"),
        ([{"prompt": "a", "completion": "b"}, {"request": "c"}], ":2: columns of no known shape (request)"),
        ([{"prompt": "a", "completion": ["b"]}], ":1: a prompt or completion is a text or a list of messages"),
        ([{"prompt": "a", "completion": [{"text": "b"}]}], ":1: a message has role and content"),
        ([{"prompt": "a", "completion": [{"role": "assistant", "content": 5}]}], "no row can be used (not_text 1)"),
        ([], "has no rows"),
        ([5], ":1: "),
    ],
)
def test_completions_that_cannot_be_learned_from(tmp_path: Path, rows: list[Any], match: str) -> None:
    source = write(tmp_path / "rows.jsonl", rows)
    told = check("ruler", f"data.source={source}")
    assert told.startswith(source)
    assert match in told


def test_what_is_left_out_of_the_completions_is_told(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "a"}, {"prompt": "c", "completion": "d"}]
    source = write(tmp_path / "rows.jsonl", rows)
    told = check("ruler", f"data.source={source}")
    assert told == f"ruler: ok, 2 rows of {source} (left out: no_completion 1) and 60 held-out prompts, 5 targets each"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chosen": "b"}, ":2: no messages in chosen. Give pairs"),
        ({"rejected": []}, ":2: rejected is empty"),
        ({"rejected": ["b"]}, ":2: rejected is no list of messages"),
        ({"chosen": [{"role": "assistant", "content": None}]}, ":2: chosen is no list of messages"),
        ({"chosen": SAID}, ":2: chosen ends with the role 'user', and assistant is needed"),
        ({"prompt": GIVEN}, ":2: prompt ends with the role 'assistant', and user is needed"),
    ],
)
def test_pairs_of_another_form(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    source = write(tmp_path / "pairs.jsonl", [PAIR, PAIR | change])
    assert match in check("ruler_dpo", f"data.source={source}")
    assert "ok, 1 rows" in check("ruler_dpo", f"data.source={source}", "data.limit=1")
    assert "holds no pairs" in check("ruler_dpo", f"data.source={write(tmp_path / 'none.jsonl', [])}")


def test_texts(tmp_path: Path) -> None:
    form = ("data.form=text", "data.mlt=null", "train.mlt_rate=1", "train.end_weight=1")
    source = write(tmp_path / "texts.jsonl", [{"text": "a"}, {"text": 5}])
    assert ":2: no `text`" in check("ruler", *form, f"data.source={source}")
    assert "ok, 1 rows" in check("ruler", *form, f"data.source={source}", "data.limit=1")


def test_prompts_and_what_rewards_read(tmp_path: Path) -> None:
    source = write(tmp_path / "prompts.jsonl", [{"prompt": "a"}, {"prompt": "b"}, {"prompt": 5}])
    assert ":3: a prompt is text or a list of messages" in check("quickstart", f"prompts.source={source}")
    source = write(tmp_path / "prompts.jsonl", [{"prompt": "a"}, {"prompt": "b"}])
    accuracy = ("rewards=[{name: accuracy}]", "rollout.reward_stop=off", f"prompts.source={source}")
    assert "reward accuracy needs the column answer" in check("quickstart", *accuracy)
    source = write(tmp_path / "prompts.jsonl", [{"prompt": "a", "answer": "1"}, {"prompt": "b", "answer": "2"}])
    assert "ok, 1 training and 1 held-out" in check("quickstart", *accuracy)


class Hub:
    """Rows of a dataset that has no end, or cannot be reached."""

    def __init__(self, row: dict[str, Any] | None) -> None:
        self.row, self.read = row, 0

    def rows(self, source: str, *_: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.row is None:
            raise DataError(f"{source} cannot be read (no network)", "Check")
        for number in itertools.count(1):
            self.read += 1
            yield f"{source}:{number}", self.row


def test_of_the_hub_some_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(row: dict[str, Any] | None, *args: str) -> str:
        hub = Hub(row)
        monkeypatch.setattr(row_checks, "read_rows", hub.rows)
        found = check(*args)
        assert hub.read <= 2 * row_checks._LOOKED_AT
        return found

    assert "64 of the first 64 rows of a/b and 60 held-out" in told(PAIR, "ruler_dpo", "data.source=a/b")
    assert "data without completions" in told({"prompt": "a"}, "ruler", "data.source=a/b")
    assert "not looked at: a/b cannot be read" in told(None, "ruler", "data.source=a/b")
    assert "hold prompts" in told({"prompt": "a"}, "quickstart", "prompts.source=a/b")
    assert "did you mean prompt?" in told(
        {"promt": "a", "prompt": 1}, "quickstart", "prompts.source=a/b", "prompts.column=prompts"
    )
    assert "not looked at" in told(None, "quickstart", "prompts.source=a/b")
