"""A run on problems but for its training: before, after, what a kill leaves, summary, report, card, `p: measured`."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import lengthctl
from hypothesis import given, settings
from hypothesis import strategies as st
from solver import Solver

from lengthctl.checking import Status
from lengthctl.config import Config, ModelConfig, PromptsConfig, RewardSpec
from lengthctl.config.sections import EvaluateConfig
from lengthctl.evaluate.attempts import Attempt
from lengthctl.evaluate.card import model_card
from lengthctl.evaluate.report import write_report
from lengthctl.evaluate.summary import summary_rows
from lengthctl.levels import LEVELS
from lengthctl.models import BUNDLED, load_tokenizer
from lengthctl.pipelines.before import evaluate_before, is_measured
from lengthctl.pipelines.held_out import HeldOut, Measured, load_held_out, measure_after
from lengthctl.pipelines.measured_rewards import measured_point, settle_rewards
from lengthctl.pipelines.problem_bench import Answered
from lengthctl.pipelines.problem_results import compare_answers, summarise_answers
from lengthctl.pipelines.run_summary import run_summary
from lengthctl.progress import Narrator
from lengthctl.rundir import RunFolder

WORDS = {"short": 4, "medium": 8, "long": 16}


def config(**prompts: Any) -> Config:
    return Config(
        model=ModelConfig(name=BUNDLED, chat_template="chatml"),
        prompts=PromptsConfig(**{"problems": "builtin", **prompts}),
        evaluate=EvaluateConfig(problem_limit=6, samples=1),  # type: ignore[call-arg]
        rewards=[RewardSpec(name="accuracy")],  # type: ignore[call-arg]
    )


def solve(question: str) -> str:
    """The answer, read from the question."""
    first, *rest = re.findall(r"(add|subtract|multiply by)? ?(\d+)", question.lower())
    value = int(first[1])
    for order, number in rest:
        value = {"add": value + int(number), "subtract": value - int(number)}.get(order, value * int(number))
    return str(value)


def obeying(text: str) -> str:
    """Right, marked, and as long as the level says."""
    level = next((name for name, words in LEVELS.items() if text.endswith(words)), "long")
    return " ".join(["so"] * (WORDS[level] - 2)) + f"\n#### {solve(text)}"


def careless(text: str) -> str:
    """Right and not marked, in twelve words."""
    return " ".join(["so"] * 11) + f" {solve(text)}."


def measured(run: RunFolder, found: Config, held_out: HeldOut) -> tuple[Measured, Measured]:
    quiet = Narrator(quiet=True)
    before = evaluate_before(found, run, Solver(careless), held_out, quiet)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(found.model)
    after = measure_after(found, run, Solver(obeying), tokenizer, held_out, quiet, spec="plain", step=3)
    return before.best, after


def test_summary_report_and_card_of_a_run_without_lengths(tmp_path: Path) -> None:
    found, run = config(levels=list(LEVELS)), RunFolder(tmp_path, None)
    before, after = measured(run, found, load_held_out(found))
    facts = {"minutes": {"train": 1.0}, "gflops_bf16": 100.0, "peak_memory_gib": 1.0}
    summary = json.loads(json.dumps(run_summary(found, before, after, facts)))
    overall = {side: summary[side]["overall"] for side in ("before", "after")}
    assert [overall[side]["accuracy"]["value"] for side in overall] == [0.0, 1.0]
    assert [overall[side]["accuracy_last_number"]["value"] for side in overall] == [1.0, 1.0]
    assert [overall[side]["format"]["value"] for side in overall] == [0.0, 1.0]
    by_level = summary["problems"]["after"]["by_level"]
    assert {name: level["mean_total_tokens"]["value"] for name, level in by_level.items()} == WORDS
    assert set(summary["problems"]["after"]["by_difficulty"]) <= {"1", "2", "3", "4"}
    for measure in ("accuracy", "format"):
        assert summary["change"][measure] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 18}
    short = summary["problem_differences"]["after"]["by_level"]["short"]
    assert short["relative_total_tokens"]["value"] == pytest.approx(4 / 12 - 1)
    assert set(summary["reasoning"]) == {f"{side} {level}" for side in overall for level in LEVELS}
    head, rows = summary_rows(summary)
    assert "accuracy %" in head
    assert [row[1] for row in rows] == ["before", "after"]

    (tmp_path / "summary.json").write_text(json.dumps(summary))
    page = write_report(tmp_path).read_text()
    assert "Accuracy and tokens" in page
    assert "accuracy went from 0.0 % [0.0, 0.0] to 100.0 % [100.0, 100.0]" in page
    assert "Problems by level" in page
    assert "Length against target" not in page
    card = model_card(summary)
    assert "trained on problems" in card
    assert "| accuracy (%) | 0.0 [0.0, 0.0] | 100.0 [100.0, 100.0] |" in card
    assert "| short | 0.0 [0.0, 0.0] | 100.0 [100.0, 100.0] | 12.0 [12.0, 12.0] | 4.0 [4.0, 4.0] |" in card
    assert "PM" not in card


def test_a_killed_measurement_is_gone_on_with(tmp_path: Path) -> None:
    found, run, quiet = config(levels=["short", "long"]), RunFolder(tmp_path, None), Narrator(quiet=True)
    held_out = load_held_out(found)
    with pytest.raises(KeyboardInterrupt):
        evaluate_before(found, run, Solver(careless, limit=15), held_out, quiet)  # type: ignore[arg-type]
    assert not is_measured(run, held_out)
    rest = Solver(obeying)
    evaluate_before(found, run, rest, held_out, quiet)  # type: ignore[arg-type]
    assert rest.asked == 2 * 12 - 15  # both templates, each problem at both levels
    assert is_measured(run, held_out)
    read = evaluate_before(found, run, None, held_out, quiet)
    assert read.variants["chosen"] == "run_template"  # the one that was drawn by the better model
    assert len(read.best.answers) == len(read.start.answers) == 12
    tokenizer = load_tokenizer(found.model)
    for step, asked in ((3, 12), (3, 0), (5, 12)):
        backend = Solver(obeying)
        measure_after(found, run, backend, tokenizer, held_out, quiet, spec="plain", step=step)
        assert backend.asked == asked


def test_texts_of_a_length_are_drawn_once_though_the_model_is_written_anew(tmp_path: Path) -> None:
    found = Config(
        prompts=PromptsConfig(targets=[10, 20]),  # type: ignore[call-arg]
        evaluate=EvaluateConfig(limit=4, samples=1),  # type: ignore[call-arg]
    )
    held_out, quiet, run = load_held_out(found), Narrator(quiet=True), RunFolder(tmp_path, None)
    with pytest.raises(KeyboardInterrupt):
        evaluate_before(found, run, Solver(careless_text, limit=3), held_out, quiet)  # type: ignore[arg-type]
    rest = Solver(careless_text)
    drawn = evaluate_before(found, run, rest, held_out, quiet)  # type: ignore[arg-type]
    assert rest.asked == 8 - 3
    read = evaluate_before(found, run, None, held_out, quiet)
    assert [s.row for s in read.best.samples] == [s.row for s in drawn.best.samples]

    tokenizer, model = load_tokenizer(found.model), tmp_path / "model"
    trained = found.model_copy(update={"model": found.model.model_copy(update={"name": str(model)})})
    model.mkdir()
    for weights, asked in (("first", 8), ("the same, written anew", 0)):
        (model / "model.safetensors").write_text(weights)
        backend = Solver(careless_text)
        measure_after(trained, run, backend, tokenizer, held_out, quiet, spec="plain", step=3)
        assert backend.asked == asked


def careless_text(_: str) -> str:
    return "One two three four five."


def test_lengths_and_problems_are_measured_side_by_side(tmp_path: Path) -> None:
    found = Config(
        prompts=PromptsConfig(targets=[10]),  # type: ignore[call-arg]
        evaluate=EvaluateConfig(problems="builtin", problem_limit=3, limit=2, samples=1),  # type: ignore[call-arg]
    )

    def answer(text: str) -> str:
        return careless(text) if "####" in text else "One two three four five six seven eight nine ten."

    held_out, quiet, run = load_held_out(found), Narrator(quiet=True), RunFolder(tmp_path, None)
    before = evaluate_before(found, run, Solver(answer), held_out, quiet).best  # type: ignore[arg-type]
    tokenizer = load_tokenizer(found.model)
    after = measure_after(found, run, Solver(answer), tokenizer, held_out, quiet, spec="plain", step=1)
    summary = run_summary(found, before, after, {})
    assert summary["after"]["by_target"]["10"]["pm"]["value"] == 1.0
    assert summary["problems"]["after"]["overall"]["accuracy_last_number"]["value"] == 1.0
    assert summary["problem_differences"]["after"]["accuracy"]["value"] == 0.0
    assert [len(side.answers) for side in (before, after)] == [3, 3]


def answered(problem: str, tokens: int, status: Status = Status.CORRECT, label: str = "", sample: int = 0) -> Answered:
    attempt = Attempt(problem, sample, status, 0, tokens, tokens, is_truncated=False)
    return Answered(attempt, attempt, label)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(Status))), min_size=1, max_size=12))
def test_marked_and_unmarked_make_the_whole(drawn: list[tuple[int, Status]]) -> None:
    number = itertools.count()
    side = [answered(str(problem), 5, status, sample=next(number)) for problem, status in drawn]
    found = summarise_answers(side, 0)["overall"]
    for end, other in (("value", "value"), ("low", "high"), ("high", "low")):
        assert found["format"][end] + found["no_answer"][other] == pytest.approx(1)
    assert 0 <= found["format"]["low"] <= found["format"]["high"] <= 1
    change = compare_answers(side, side, 0)
    assert change["format"]["value"] == change["accuracy"]["value"] == change["accuracy_last_number"]["value"] == 0


def test_levels_are_no_further_tries() -> None:
    side = [answered("a", n, label=label, sample=i) for i, (label, n) in enumerate(WORDS.items())]
    found = summarise_answers(side, 0)
    assert list(found["by_level"]) == list(WORDS)
    assert [key for key in found["overall"] if key.startswith("pass_at_")] == ["pass_at_1"]


@pytest.mark.parametrize(
    ("lengths", "p"), [([40, 60, 80], 0.6), ([40, 44], 0.42), ([1, 2], 0.2), ([99], 0.8), ([], 0.5)]
)
def test_the_turning_point_is_the_median_of_marked_answers(lengths: list[int], p: float) -> None:
    side = [answered(str(i), n, Status.WRONG) for i, n in enumerate(lengths)]
    unmarked = [answered(f"x{i}", 100, Status.NO_ANSWER) for i in range(9)]
    assert measured_point([*side, *unmarked], 100) == p


def test_rewards_are_settled_once_the_untouched_model_is_known() -> None:
    args = {"p": "measured", "max_tokens": 100, "marker": "hashes"}
    specs = [RewardSpec(name="surrogate", args=args), RewardSpec(name="finished")]  # type: ignore[call-arg]
    told: list[str] = []
    found = settle_rewards(Config(rewards=specs), lambda: [answered("a", 70)], told.append)
    assert [spec.args for spec in found.rewards] == [{**args, "p": 0.7}, {}]
    assert told == ["surrogate: p = 0.7 (median length of the marked answers among 1 untouched texts)"]
    settled = Config(rewards=[RewardSpec(name="surrogate", args={"p": 0.3})])  # type: ignore[call-arg]

    def never() -> list[Answered]:
        raise AssertionError("nothing is to be measured")

    assert settle_rewards(settled, never) == settled


def lengthctl_eval(tmp_path: Path, *words: str) -> Any:
    settings = ["prompts.targets=[]", "evaluate.problems=builtin", "evaluate.problem_limit=3", "evaluate.samples=1"]
    path = tmp_path / "script.jsonl"
    path.write_text(json.dumps({"id": "*", "texts": ["So it is.\n#### 5"]}) + "\n")
    backend = ["rollout.backend=scripted", f"rollout.script={path}"]
    return lengthctl("eval", *words, *settings, *backend, "--out", str(tmp_path / "e"), "--json")


def test_eval_of_levels_without_lengths(tmp_path: Path) -> None:
    out = lengthctl_eval(tmp_path, "m@level:name=short", "m@level:name=long")
    assert out.exit_code == 0, out.exception
    summary = json.loads(out.stdout)
    assert list(summary["subjects"]) == list(summary["reasoning"]) == ["m@level:name=short", "m@level:name=long"]
    side = summary["subjects"]["m@level:name=long"]
    assert side["overall"]["format"]["value"] == 1.0
    assert summary["differences"]["m@level:name=long"]["accuracy"]["value"] == 0.0
    page = (tmp_path / "e" / "report.html").read_text()
    assert "Problems by side" in page
    assert 'id="samples"' not in page
    assert lengthctl_eval(tmp_path, "m@level:name=short", "m@level:name=long").exit_code == 0  # nothing is drawn again
    refused = lengthctl_eval(tmp_path, "m@countdown")
    assert "needs an exact number of words, and a prompt names no length" in str(refused.exception)


def test_bounds_on_problems_become_an_exit_code(tmp_path: Path) -> None:
    bounds = ["--fail-under", "format=0.9", "--fail-under", "accuracy=0.99", "--fail-over", "total_tokens=90"]
    out = lengthctl_eval(tmp_path, "m@level:name=short", *bounds)
    assert out.exit_code == 3
    (told,) = [line for line in out.stderr.splitlines() if "bound" in line]
    assert "accuracy is 0, under the bound of 0.99" in told
    assert "format" not in told
    assert "tokens" not in told
