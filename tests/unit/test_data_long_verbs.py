"""`lengthctl data backtranslate`, `agentwrite` and `self-lengthen` from the command line, over a server that answers by
rule.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl
from flaky_server import Answer, FlakyServer, completion
from perfect_writer import PerfectWriter

from lengthctl.errors import ConfigError, DataError, FailureBudgetError, RunFolderError
from lengthctl.length import Target, count_length
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.scoring import s_l

TOPICS = ("rain", "snow", "wind")


def prose(topic: str, words: int) -> str:
    body = [f"{topic}{i}" for i in range(words)]
    return " ".join(word + ("." if i % 10 == 9 or i == words - 1 else "") for i, word in enumerate(body))


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def texts(path: Path, words: int = 240) -> str:
    return write(path, [{"id": t, "text": prose(t, words), "licence": "cc0-1.0"} for t in TOPICS])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]


REQUEST = Answer(body=completion("Write an explanation of the weather for curious readers."))


def test_texts_get_requests_from_an_endpoint_and_no_call_is_made_twice(tmp_path: Path) -> None:
    source = texts(tmp_path / "in.jsonl")
    with FlakyServer([REQUEST]) as server:
        command = ["data", "backtranslate", source, "--out", str(tmp_path / "o"), "--endpoint", server.url]
        command += ["--endpoint-model", "m", "--json", "--price-in", "1", "--price-out", "2"]
        out = lengthctl(*command)
        assert out.exit_code == 0, out.exception
        assert len(server.bodies) == len(TOPICS)
        assert {body["model"] for body in server.bodies} == {"m"}
        stats = json.loads(out.stdout)
        assert stats["measured"]["calls"] == len(TOPICS)
        rows, kept = rows_of(tmp_path / "o"), (tmp_path / "o" / "train.jsonl").read_bytes()
        assert [row["id"] for row in rows] == list(TOPICS)
        assert rows[0]["prompt"][0]["content"] == "Write an explanation of the weather for curious readers."
        again = lengthctl(*command)
        assert again.exit_code == 0, again.exception
        assert len(server.bodies) == len(TOPICS)
        assert (tmp_path / "o" / "train.jsonl").read_bytes() == kept


def test_a_dry_run_of_back_translation_asks_nobody(tmp_path: Path) -> None:
    source = texts(tmp_path / "in.jsonl")
    command = ["data", "backtranslate", source, "--out", str(tmp_path / "o"), "--endpoint", "http://127.0.0.1:9/v1"]
    command += ["--model", "m", "--dry-run", "--limit", "2", "--price-in", "1"]
    told = lengthctl(*command)
    assert told.exit_code == 0, told.exception
    assert "2 documents, 2 calls" in told.stdout
    assert "rain0 rain1" in told.stdout
    assert "cost: about" in told.stdout
    as_json = json.loads(lengthctl(*command, "--json").stdout)
    assert as_json["calls"] == 2
    assert as_json["prompt_tokens"] > 400
    assert not (tmp_path / "o").exists()


def test_refusals_end_the_command_when_the_budget_is_spent(tmp_path: Path) -> None:
    source = texts(tmp_path / "in.jsonl")
    with FlakyServer([Answer(body=completion("I'm sorry, but I can't help with that."))]) as server:
        command = ["data", "backtranslate", source, "--out", str(tmp_path / "o"), "--endpoint", server.url]
        out = lengthctl(*command, "--model", "m")
    assert isinstance(out.exception, FailureBudgetError)
    assert "3 of 3 documents came to nothing (refused 3)" in str(out.exception)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--endpoint", "http://x/v1"], "--model  is missing"),
        (["--key-env", "K"], "has no effect without --endpoint"),
        (["atempts=3"], "did you mean attempts"),
        (["attempts=0"], "attempts is at least 1"),
        (["rollout.engnes=2"], "did you mean engines"),
        (["other.jsonl"], "one at a time"),
        (["--config", "quickstrt"], "did you mean quickstart"),
    ],
)
def test_faults_of_back_translation(tmp_path: Path, options: list[str], told: str) -> None:
    out = lengthctl("data", "backtranslate", texts(tmp_path / "in.jsonl"), "--out", str(tmp_path / "o"), *options)
    assert isinstance(out.exception, ConfigError), out.exception
    assert told in str(out.exception)
    assert not (tmp_path / "o").exists()


def test_a_source_that_is_gone_is_told_before_anything_starts(tmp_path: Path) -> None:
    for verb in ("backtranslate", "agentwrite"):
        for more in ([], ["--dry-run"]):
            gone = [str(tmp_path / "gone.jsonl"), "--out", str(tmp_path / "o"), *more]
            out = lengthctl("data", verb, *gone)
            assert isinstance(out.exception, DataError), verb
            assert "gone.jsonl" in str(out.exception)


@pytest.mark.parametrize("verb", ["backtranslate", "agentwrite"])
def test_what_would_be_refused_at_the_end_is_refused_before_anything_is_paid(tmp_path: Path, verb: str) -> None:
    source = write(tmp_path / "in.jsonl", [{"prompt": f"On {t}.", "completion": prose(t, 240)} for t in TOPICS])
    other = tmp_path / "other"
    assert lengthctl("data", "mix", source, "--ratio", "0", "--out", str(other)).exit_code == 0
    files = sorted(other.iterdir())
    with FlakyServer([REQUEST]) as server:
        command = ["data", verb, source, "--endpoint", server.url, "--model", "m"]
        into_other = lengthctl(*command, "--out", str(other))
        kept_out = lengthctl(*command, "--out", str(tmp_path / "o"), "--against", str(tmp_path / "gone.jsonl"))
        assert server.bodies == []
    assert isinstance(into_other.exception, RunFolderError)
    assert "data of another kind" in str(into_other.exception)
    assert sorted(other.iterdir()) == files
    assert isinstance(kept_out.exception, DataError)
    assert "gone.jsonl" in str(kept_out.exception)
    assert not (tmp_path / "o").exists()


class WriterServer(FlakyServer):
    """A server behind which the perfect writer sits."""

    def _take(self, asked: dict[str, Any], key: str | None) -> Answer:
        super()._take(asked, key)
        (done,) = PerfectWriter().generate([Request("r", (), Sampling(), tuple(asked["messages"]))])
        return Answer(body=completion(done.text))


def prompts(path: Path, **more: Any) -> str:
    return write(path, [{"id": t, "prompt": f"Explain the {t}.", **more} for t in TOPICS])


def test_a_plan_is_written_through_an_endpoint_and_no_call_is_made_twice(tmp_path: Path) -> None:
    source = prompts(tmp_path / "in.jsonl")
    with WriterServer() as server:
        command = ["data", "agentwrite", source, "--out", str(tmp_path / "o"), "--endpoint", server.url, "--model", "m"]
        command += ["--words", "1200,1500", "part_ceiling=500", "--seed", "3", "--json"]
        out = lengthctl(*command)
        assert out.exit_code == 0, out.exception
        asked = len(server.bodies)
        rows, kept = rows_of(tmp_path / "o"), (tmp_path / "o" / "train.jsonl").read_bytes()
        again = lengthctl(*command)
        assert again.exit_code == 0, again.exception
        assert len(server.bodies) == asked
    assert (tmp_path / "o" / "train.jsonl").read_bytes() == kept
    assert json.loads(out.stdout)["measured"]["calls"] == asked
    assert [row["id"] for row in rows] == list(TOPICS)
    assert {row["target"]["value"] for row in rows} == {1200, 1500}
    for row in rows:
        target, text = Target.parse(row["target"]), row["completion"][0]["content"]
        assert s_l(count_length(text, target.unit), target) > 0.9
        assert len(row["plan"]["steps"] if isinstance(row["plan"], dict) else row["plan"]) >= 3
        assert str(target.value) in row["prompt"][-1]["content"].replace(",", "")


def test_a_dry_run_of_agentwrite_shows_plans_and_their_cost(tmp_path: Path) -> None:
    source = prompts(tmp_path / "in.jsonl", target=2000)
    command = ["data", "agentwrite", source, "--out", str(tmp_path / "o"), "--endpoint", "http://127.0.0.1:9/v1"]
    out = lengthctl(*command, "--model", "m", "--dry-run", "--limit", "2")
    assert out.exit_code == 0, out.exception
    assert "2 documents" in out.stdout
    assert "Explain the snow." in out.stdout
    assert "Explain the wind." not in out.stdout
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--words", "many"], "a number from 1"),
        (["--words", "0"], "a number from 1"),
        (["plan_min_wrds=3"], "did you mean plan_min_words"),
        (["--control", "clos"], "clos"),
        (["parallel=maybe"], "parallel"),
    ],
)
def test_faults_of_agentwrite(tmp_path: Path, options: list[str], told: str) -> None:
    out = lengthctl("data", "agentwrite", prompts(tmp_path / "in.jsonl"), "--out", str(tmp_path / "o"), *options)
    assert isinstance(out.exception, ConfigError), out.exception
    assert told in str(out.exception)
    assert not (tmp_path / "o").exists()


def test_a_dry_run_of_self_lengthen_counts_all_rounds(tmp_path: Path) -> None:
    command = ["data", "self-lengthen", "--out", str(tmp_path / "o"), "--dry-run", "--json"]
    few, more = (json.loads(lengthctl(*command, "--limit", n).stdout) for n in ("2", "4"))
    assert 0 < few["calls"] < more["calls"]
    assert "48 instructions given" in few["text"]
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--profile", "smal"], "did you mean small"),
        (["growth=0.5"], "growth is a factor of at least 1"),
        (["max_rep=x"], "max_rep"),
        (["a.jsonl", "b.jsonl"], "one at a time"),
        (["--config", "quickstart"], "train.method"),
        (["top_p=0"], "top_p in (0, 1]"),
        (["repetition_penalty=0"], "repetition_penalty lies in (0, 2]"),
    ],
)
def test_faults_of_self_lengthen(tmp_path: Path, options: list[str], told: str) -> None:
    out = lengthctl("data", "self-lengthen", *options, "--out", str(tmp_path / "o"), "--dry-run")
    assert isinstance(out.exception, ConfigError), out.exception
    assert told in str(out.exception)


def test_what_was_planned_can_be_curated_asked_for_and_mixed(tmp_path: Path) -> None:
    source = prompts(tmp_path / "in.jsonl")
    with WriterServer() as server:
        command = ["data", "agentwrite", source, "--out", str(tmp_path / "a"), "--endpoint", server.url, "--model", "m"]
        assert lengthctl(*command, "--words", "1000").exit_code == 0
    made = str(tmp_path / "a" / "train.jsonl")
    curated = lengthctl("data", "curate", made, "--out", str(tmp_path / "c"), "--json")
    assert curated.exit_code == 0, curated.exception
    assert json.loads(curated.stdout)["used"] == len(TOPICS), "the length that the prompt names is the one written"
    asked = lengthctl("data", "constrain", made, "--out", str(tmp_path / "k"), "--json")
    assert asked.exit_code == 0, asked.exception
    mixed = lengthctl(
        "data", "mix", str(tmp_path / "c" / "train.parquet"), "--ratio", "0", "--out", str(tmp_path / "m")
    )
    assert mixed.exit_code == 0, mixed.exception
    before, after = ({row["id"]: row for row in rows_of(tmp_path / name)} for name in ("c", "m"))
    assert set(before) == set(after) == set(TOPICS)
    for name, row in after.items():
        assert row["completion"] == before[name]["completion"]
        assert row["target"]["value"] == 1000
        assert row["plan"] == before[name]["plan"]
