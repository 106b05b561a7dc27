"""`gen`, `eval` and the judge over a server that misbehaves: survived, or ended with everything done so far kept."""

from __future__ import annotations

import json
from pathlib import Path

import flaky_server as flaky
import pytest
from command_line import lengthctl
from flaky_server import Answer, FlakyServer, completion

from lengthctl.errors import LengthctlError
from lengthctl.judging import LONGBENCH_WRITE

TEXT = "One two three four five six seven eight nine ten."
GOOD = Answer(200, completion(TEXT))
PASSING = [flaky.BUSY, GOOD, flaky.BROKEN, flaky.CUT_JSON, GOOD, flaky.CUT_BODY, flaky.MUTE, Answer(wait_s=9), GOOD]
"""Faults that pass, each followed by what was asked for."""


def endpoint(url: str, timeout_s: float = 1.0) -> str:
    quick = {"attempts": 4, "backoff_s": 0.001, "timeout_s": timeout_s, "concurrency": 1, "api_key_env": None}
    return json.dumps({"base_url": url, "model": "m", **quick})


def over(url: str, timeout_s: float = 1.0) -> list[str]:
    return ["rollout.backend=endpoint", f"rollout.endpoint={endpoint(url, timeout_s)}"]


def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": f"p{i}", "prompt": f"Describe {i}."}) + "\n" for i in range(6)))
    return path


def test_gen_survives_faults_that_pass(tmp_path: Path) -> None:
    out = tmp_path / "texts.jsonl"
    with FlakyServer(PASSING) as server:
        command = ["gen", "--in", str(prompts(tmp_path)), "--words", "10", "--out", str(out), "--control", "plain"]
        found = lengthctl(*command, *over(server.url))
        assert found.exit_code == 0, found.exception
        assert len(server.bodies) == 6 + 6  # one more for each fault
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], row["text"], row["is_hit"]) for row in rows] == [(f"p{i}#0", TEXT, True) for i in range(6)]


def test_gen_keeps_what_came_before_a_server_was_lost(tmp_path: Path) -> None:
    out = tmp_path / "texts.jsonl"
    command = ["gen", "--in", str(prompts(tmp_path)), "--words", "10", "--out", str(out), "--control", "plain"]
    with FlakyServer([GOOD, GOOD, *[flaky.BROKEN] * 4, GOOD]) as server:
        lost = lengthctl(*command, *over(server.url))
        assert isinstance(lost.exception, LengthctlError)
        assert "500" in str(lost.exception)
        before, asked = out.read_bytes(), len(server.bodies)
        kept = len(before.splitlines())
        assert 2 <= kept < 6
        found = lengthctl(*command, *over(server.url))
        assert found.exit_code == 0, found.exception
        assert len(server.bodies) == asked + 6 - kept
    after = out.read_bytes().splitlines()
    assert len(after) == 6
    assert set(before.splitlines()) < set(after)  # byte for byte; the file is put in order at its end


def test_eval_and_its_judge_survive_faults_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    verdict = json.dumps(dict.fromkeys((d.name for d in LONGBENCH_WRITE.dimensions), 4))
    good = Answer(200, completion(verdict))
    settings = ["evaluate.limit=3", "evaluate.samples=1", "prompts.targets=[10]"]
    folder, cache = tmp_path / "e", tmp_path / "verdicts.jsonl"
    with FlakyServer([flaky.BUSY, GOOD, flaky.MUTE, GOOD]) as writer, FlakyServer([flaky.BROKEN, good]) as judge:
        graded = f'judge={{"endpoint": {endpoint(judge.url)}, "cache": {json.dumps(str(cache))}}}'
        command = ["eval", "m", *settings, *over(writer.url), graded, "--out", str(folder), "--json"]
        found = lengthctl(*command)
        assert found.exit_code == 0, found.exception
        assert (len(writer.bodies), len(judge.bodies)) == (3 + 2, 3 + 1)
        again = lengthctl(*command)
        assert again.exit_code == 0, again.exception
        assert (len(writer.bodies), len(judge.bodies)) == (3 + 2, 3 + 1)
    (first,), (second,) = (json.loads(run.stdout)["subjects"].values() for run in (found, again))
    assert first["judge"] == second["judge"]
    assert first["judge"]["ok"] == 3
    assert first["overall"] == second["overall"]


def test_what_a_server_that_is_not_there_says_is_told(tmp_path: Path) -> None:
    with FlakyServer() as server:
        url = server.url
    lost = lengthctl("eval", "m", "evaluate.limit=1", "prompts.targets=[10]", *over(url), "--out", str(tmp_path / "e"))
    assert isinstance(lost.exception, LengthctlError)
    assert "Connection refused" in str(lost.exception)


@pytest.mark.parametrize("bad", [flaky.HTML, flaky.EMPTY], ids=["html", "empty"])
def test_a_server_that_never_answers_properly_ends_the_evaluation(tmp_path: Path, bad: Answer) -> None:
    with FlakyServer([bad]) as server:
        lost = lengthctl("eval", "m", "evaluate.limit=2", "prompts.targets=[10]", *over(server.url))
    assert isinstance(lost.exception, LengthctlError)
    assert "\n" not in str(lost.exception).split("→")[0].strip()
