"""`lengthctl bench`: the config and its faults, a bench through the command line, what is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl

from lengthctl.cli.bench import find_bench
from lengthctl.config.bench import BenchConfig
from lengthctl.config.bench_loading import load_bench
from lengthctl.errors import ConfigError, DataError, RunFolderError
from lengthctl.evaluate.bench_report import write_bench_report
from lengthctl.rundir import lock_folder

PLAIN = "base: m\nmethods:\n  a: {control: level}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return path


def invoke(tmp_path: Path, *words: str) -> Any:
    return lengthctl("bench", *words, "--out", str(tmp_path / "out"))


def scripted(tmp_path: Path, text: str = "So it is.\n#### 5") -> str:
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"id": "*", "texts": [text]}) + "\n")
    return f"measure: [rollout.backend=scripted, rollout.script={script}]\nproblems: {{limit: 3}}\n{PLAIN}"


def test_a_bench_through_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, scripted(tmp_path))
    out = invoke(tmp_path, str(path), "seeds=[3, 4]", "--json")
    assert out.exit_code == 0, out.output
    results = json.loads(out.stdout)
    assert results["seeds"] == [3, 4]
    assert results["problem_count"] == 3
    assert list(results["verdicts"]) == ["a"]
    told = invoke(tmp_path, str(path), "seeds=[3, 4]")
    assert told.exit_code == 0
    assert "not inferior" in told.stdout
    assert f"report: {tmp_path / 'out' / 'report.html'}" in told.stdout.replace("\n", "")
    page = (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "out" / "report.html").unlink()
    again = lengthctl("report", str(tmp_path / "out"))
    assert again.exit_code == 0, again.exception
    assert "The base itself solves" in (tmp_path / "out" / "report.html").read_text()
    assert "<script>" in page  # the page's own
    # both sides say the same, and the same number to every problem
    assert "The base itself solves 0.0 %: none can lose 2 points, so nothing is shown" in page


def test_a_folder_that_another_bench_works_in_is_left_to_it(tmp_path: Path) -> None:
    path = written(tmp_path, scripted(tmp_path))
    with lock_folder(tmp_path / "out"):
        out = invoke(tmp_path, str(path))
        assert isinstance(out.exception, RunFolderError)
        assert "name another --out" in str(out.exception)
    assert invoke(tmp_path, str(path)).exit_code == 0


def test_a_failed_method_is_an_exit_code_and_the_rest_is_printed(tmp_path: Path) -> None:
    path = written(tmp_path, scripted(tmp_path) + "  b: {control: stop_temperature, points: [value=1]}\n")
    out = invoke(tmp_path, str(path))
    assert out.exit_code == 1
    assert "failed: b value=1; the same command tries them again" in out.stderr
    assert "report: " in out.stdout
    assert "needs a backend that can let us change the model" in (tmp_path / "out" / "report.html").read_text()


def test_quick_takes_one_seed_and_few_problems_into_a_folder_of_its_own(tmp_path: Path) -> None:
    text = "  t: {train: {recipe: arithmetic, overrides: [trainer.learning_rate=1e-4]}}\n"
    path = written(tmp_path, f"seeds: [5, 6]\nproblems: {{samples: 4}}\n{PLAIN}{text}")
    out = lengthctl("bench", str(path), "--quick", "--dry-run")
    assert out.exit_code == 0, out.output
    planned = json.loads(out.stdout)
    assert planned["out"] == "runs/bench-own-quick"
    assert planned["config"]["seeds"] == [5]
    assert planned["config"]["problems"] == {"source": "builtin", "limit": 32, "samples": 1}
    (command,) = planned["training"]["t"]
    assert command.index("trainer.learning_rate=1e-4") < command.index("trainer.max_steps=2")
    assert planned["sides"]["t"]["model"] == "runs/bench-own-quick/trained/t-5"


def test_a_folder_without_trained_models_is_told(tmp_path: Path) -> None:
    out = invoke(tmp_path, str(written(tmp_path, PLAIN)), "--trained", str(tmp_path / "nowhere"), "--dry-run")
    assert "--trained" in str(out.exception)
    assert "holds no trained models" in str(out.exception)


def test_faults_of_a_config_come_all_at_once_with_lines(tmp_path: Path) -> None:
    text = (
        "base: m\nseds: [1]\nproblems: {limt: 5}\nmethods:\n"
        "  a: {contrl: level}\n  b: {train: {recipe: tldr, override: []}}\n  c: {control: level, points: [short]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_bench(written(tmp_path, text), ["margin=2", "tempratur=1"])
    told = str(caught.value)
    assert "line 2  seds  unknown key; did you mean seeds?" in told
    assert "line 3  problems.limt  unknown key; did you mean limit?" in told
    assert "line 5  methods.a.contrl  unknown key; did you mean control?" in told
    assert "line 6  methods.b.train.override  unknown key; did you mean overrides?" in told
    assert "line 7  methods.c  a point is option=value, found 'short'" in told
    assert "margin  = 2: input should be less than 1" in told
    assert "tempratur  unknown key; did you mean temperature?" in told


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({}, "is the base itself"),
        ({"model": "x", "train": {"recipe": "y"}}, "all say what is measured"),
        ({"control": "level", "points": ["name=short", "name=short"]}, "named twice"),
        ({"points": ["a=1"], "targets": [3]}, "both make the settings"),
        ({"targets": [0]}, "at least 1"),
        ({"targets": [{"value": 3, "unt": "words"}]}, "targets: "),
    ],
)
def test_methods_that_say_too_little_or_too_much(method: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchConfig(base="m", methods={"a": method})


@pytest.mark.parametrize("name", ["base", "", "a/b", "../a", "x" * 41])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="a method's name"):
        BenchConfig(base="m", methods={name: {"control": "level"}})


def test_faults_of_recipes_and_controls_stop_the_command_before_anything_starts(tmp_path: Path) -> None:
    methods = (
        "  b: {control: levle}\n  c: {train: {recipe: tlrd}}\n"
        "  d: {train: {recipe: tldr, overrides: [trainer.max_stps=3]}}\n"
    )
    out = invoke(tmp_path, str(written(tmp_path, PLAIN + methods)), "--only", "d", "--only", "e")
    told = str(out.exception)
    assert "--only  there is no method 'e'" in told
    assert "did you mean level?" in told
    assert "methods.d.train.trainer.max_stps" in told
    assert "tlrd" not in told  # it is not run
    assert not (tmp_path / "out").exists()
    assert "did you mean tldr?" in str(invoke(tmp_path, str(written(tmp_path, PLAIN + methods))).exception)


def test_an_unknown_bench_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean arithmetic"):
        find_bench("arithmetik")


def test_the_shipped_bench_is_sound() -> None:
    bench = load_bench(find_bench("arithmetic"))
    assert bench.problems.limit >= 2000
    assert len(bench.seeds) == 3
    out = lengthctl("bench", "arithmetic", "--dry-run")
    assert out.exit_code == 0, out.exception
    assert lengthctl("bench", "arithmetic", "--quick", "--dry-run").exit_code == 0
    sides = json.loads(out.stdout)["sides"]
    assert {"base", "c3ot condition=short", "tldr name=short", "answer now tokens=32", "l1 <=64 tokens"} <= set(sides)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"reasoning": {}}'])
def test_a_report_needs_results(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="does not exist"):
        write_bench_report(tmp_path)
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(DataError, match=r"torn|holds no bench"):
        write_bench_report(tmp_path)
