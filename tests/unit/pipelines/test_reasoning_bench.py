"""The bench with fake engines and trainings: killed and gone on with, failures, what is run and what is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from two_method_bench import METHODS, PROBLEMS, WORDS, Engines, Trainings, plan

from lengthctl.config import Config
from lengthctl.errors import ConfigError, EngineError, RunFolderError
from lengthctl.evaluate.bench_report import read_bench, write_bench_report
from lengthctl.pipelines.reasoning_bench import run_bench
from lengthctl.pipelines.reasoning_bench_plan import BenchPlan
from lengthctl.progress import Narrator

QUIET = Narrator(quiet=True)


def other_limit(out: Path) -> BenchPlan:
    """The bench under another limit of a completion."""
    made = plan(out)

    def config_of(model: str, seed: int) -> Config:
        found = made.config_of(model, seed)
        return found.model_copy(update={"evaluate": found.evaluate.model_copy(update={"max_tokens": 99})})

    return replace(made, config_of=config_of)


def comparable(results: dict[str, Any]) -> dict[str, Any]:
    """All but times, and paths that hold the folder."""
    found = json.loads(json.dumps(results))
    for cost in found["costs"].values():
        del cost["seconds"], cost["seconds_per_correct"]
    for by_seed in found["training"].values():
        for row in by_seed.values():
            del row["seconds"]
    return {key: value for key, value in found.items() if key not in ("minutes", "command")}


def test_a_whole_bench_and_its_report(tmp_path: Path) -> None:
    engines, trainings = Engines(), Trainings()
    results = run_bench(plan(tmp_path), Narrator(quiet=True), run=trainings, opened=engines)
    assert read_bench(tmp_path) == json.loads(json.dumps(results))
    assert list(results["reasoning"]) == ["base", "brief", "asked name=short", "asked name=long"]
    tokens = {name: point["tokens"]["value"] for name, point in results["reasoning"].items()}
    assert list(tokens.values()) == [WORDS[name] for name in ("base", "brief", "short", "long")]
    assert results["problems"]["brief"]["problems"] == PROBLEMS
    assert results["problems"]["brief"]["samples_per_problem"] == [2, 2]  # one a seed
    assert results["best"] == "brief"
    assert results["verdicts"]["brief"]["saved"]["value"] == pytest.approx(0.75)
    assert results["verdicts"]["asked name=short"]["saves_half"]
    assert not results["verdicts"]["asked name=long"]["saves_half"]
    assert results["training"]["brief"]["2"]["tokens"] == 250
    assert results["training"]["brief"]["2"]["train_minutes"] == 2.5
    # base and both levels share one opening a seed, the trained model has its own
    assert [model for model, _ in engines.opened] == [
        model for seed in (1, 2) for model in ("base-model", str(tmp_path / "trained" / f"brief-{seed}"))
    ]
    page = write_bench_report(tmp_path).read_text()
    assert "brief saves most without being inferior, at least half of the tokens" in page
    assert "accuracy +0.0 points [+0.0, +0.0], 75.0 % [75.0, 75.0] fewer tokens" in page
    for title in ("Against the base", "Problems by difficulty", "Tokens a completion at equal accuracy, by method"):
        assert title in page
    for title in ("What a correct answer costs", "What training cost"):
        assert title in page
    assert "Seed by seed" in page
    assert "What failed" not in page


def test_killed_anywhere_it_goes_on_and_finds_the_same(tmp_path: Path) -> None:
    whole = Engines()
    expected = comparable(run_bench(plan(tmp_path / "a"), QUIET, run=Trainings(), opened=whole))
    asked = 0
    for limit in (3, 9, 20):
        engines = Engines(limit)
        with pytest.raises(KeyboardInterrupt):
            run_bench(plan(tmp_path / "b"), QUIET, run=Trainings(), opened=engines)
        asked += engines.asked
    rest = Engines()
    trainings = Trainings()
    assert comparable(run_bench(plan(tmp_path / "b"), QUIET, run=trainings, opened=rest)) == expected
    assert asked + rest.asked == whole.asked == 4 * 2 * PROBLEMS
    again = Engines()
    assert comparable(run_bench(plan(tmp_path / "b"), QUIET, run=trainings, opened=again)) == expected
    assert again.opened == []  # nothing is owed, so no engine is started


def test_a_training_that_was_killed_is_resumed(tmp_path: Path) -> None:
    trainings = Trainings(130)
    with pytest.raises(KeyboardInterrupt):
        run_bench(plan(tmp_path), QUIET, run=trainings, opened=Engines())
    assert [words[:2] for words in trainings.ran] == [("data", "problems"), ("train", "arithmetic")]
    rest = Trainings()
    results = run_bench(plan(tmp_path), QUIET, run=rest, opened=Engines())
    first, *others = rest.ran
    assert first == ("train", "--resume", str(tmp_path / "trained" / "brief-1"))
    assert [words[:2] for words in others] == [("data", "problems"), ("train", "arithmetic")]
    assert set(results["training"]["brief"]) == {"1", "2"}


def test_a_failed_training_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    failing = Trainings(1)
    results = run_bench(plan(tmp_path), QUIET, run=failing, opened=Engines())
    (failure,) = results["failures"]
    assert (failure["method"], failure["seed"]) == ("brief", 1)
    assert "exit code 1" in failure["why"]
    # the second seed was trained, and is compared with the base's same seed alone
    assert results["verdicts"]["brief"]["seeds"] == [2]
    assert results["problem_differences"]["brief"]["accuracy"]["n"] == PROBLEMS
    assert results["verdicts"]["asked name=short"]["seeds"] == [1, 2]
    page = write_bench_report(tmp_path).read_text()
    assert "brief, seed 1, failed and is left out" in page
    assert "What failed" in page


def test_a_trained_model_that_cannot_be_opened_fails_alone(tmp_path: Path) -> None:
    engines = Engines()

    def opened(config: Any, *rest: Any) -> Any:
        if "brief" in config.model.name:
            raise EngineError("no <b>memory</b>\n  at all")
        return engines(config, *rest)

    results = run_bench(plan(tmp_path, seeds=[1]), QUIET, run=Trainings(), opened=opened)
    assert [(one["method"], one["why"]) for one in results["failures"]] == [("brief", "no <b>memory</b> at all")]
    assert "brief" not in results["verdicts"]
    assert "asked name=short" in results["verdicts"]
    page = write_bench_report(tmp_path).read_text()
    assert "no &lt;b&gt;memory&lt;/b&gt; at all" in page
    assert "<b>memory" not in page


def test_without_the_base_there_is_nothing_to_compare(tmp_path: Path) -> None:
    def opened(config: Any, *_: Any) -> Any:
        raise EngineError("no memory")

    trainings = Trainings()
    with pytest.raises(EngineError, match="no memory"):
        run_bench(plan(tmp_path), QUIET, run=trainings, opened=opened)
    assert trainings.ran == []  # what takes hours comes behind what may fail at once


def test_a_folder_of_other_settings_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    run_bench(plan(tmp_path), QUIET, only=["asked"], run=Trainings(), opened=Engines())
    trainings = Trainings()
    with pytest.raises(RunFolderError, match="of other settings"):
        run_bench(other_limit(tmp_path), QUIET, run=trainings, opened=Engines())
    assert trainings.ran == []


def test_only_runs_one_method_and_reports_what_is_there(tmp_path: Path) -> None:
    trainings, engines = Trainings(), Engines()
    results = run_bench(plan(tmp_path), QUIET, only=["asked"], run=trainings, opened=engines)
    assert trainings.ran == []
    assert set(results["verdicts"]) == {"asked name=short", "asked name=long"}
    results = run_bench(plan(tmp_path), QUIET, only=["brief"], run=trainings, opened=Engines())
    assert set(results["verdicts"]) == {"brief", "asked name=short", "asked name=long"}


def test_one_method_may_draw_from_the_model_of_another(tmp_path: Path) -> None:
    both = {"control": "level:name=short", "trained_by": "brief"}
    methods = {"brief": METHODS["brief"], "both": both}
    trainings = Trainings()
    results = run_bench(plan(tmp_path, methods), QUIET, only=["both"], run=trainings, opened=Engines())
    assert len(trainings.ran) == 4  # data and training, a seed
    assert set(results["verdicts"]) == {"both"}
    with pytest.raises(ValueError, match=r"methods.both.trained_by .* 'breif'; did you mean brief\?"):
        plan(tmp_path, {"brief": METHODS["brief"], "both": {**both, "trained_by": "breif"}})


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    run_bench(plan(tmp_path), QUIET, run=Trainings(), opened=Engines())
    changed = {**METHODS, "brief": {"train": {"recipe": "arithmetic", "overrides": ["trainer.learning_rate=1e-5"]}}}
    with pytest.raises(RunFolderError, match="was trained with other settings"):
        run_bench(plan(tmp_path, changed), QUIET, run=Trainings(), opened=Engines())


def test_trained_models_of_another_folder_are_taken(tmp_path: Path) -> None:
    run_bench(plan(tmp_path / "a"), QUIET, run=Trainings(), opened=Engines())
    trainings, engines = Trainings(), Engines()
    again = plan(tmp_path / "b", seeds=[1], trained=tmp_path / "a")
    results = run_bench(again, QUIET, run=trainings, opened=engines)
    assert trainings.ran == []
    assert [model for model, _ in engines.opened] == ["base-model", str(tmp_path / "a" / "trained" / "brief-1")]
    assert set(results["training"]["brief"]) == {"1"}
    assert not (tmp_path / "b" / "trained").exists()


def test_plans_fill_in_what_a_method_needs(tmp_path: Path) -> None:
    made = plan(tmp_path)
    job = made.job("brief", 2)
    assert job is not None
    assert job.before == (("data", "problems", "--out", str(tmp_path / "data" / "brief-2")),)
    assert 'model.name="base-model"' in job.overrides
    assert job.overrides[-1] == "run.seed=2"
    given = plan(tmp_path, {"given": {"model": "runs/short-{seed}"}})
    assert given.model(given.sides[1], 7) == "runs/short-7"
    asked = plan(tmp_path, {"l1": {"targets": [{"value": 16, "relation": "at_most", "unit": "tokens"}, 9]}})
    assert [side.name for side in asked.sides] == ["base", "l1 <=16 tokens", "l1 9 words"]


def test_faults_of_controls_come_all_at_once(tmp_path: Path) -> None:
    methods = {"a": {"control": "buget"}, "b": {"control": "level", "points": ["nam=short"]}, "c": {"control": "close"}}
    with pytest.raises(ConfigError) as caught:
        plan(tmp_path, methods)
    text = str(caught.value)
    assert "methods.a.control" in text
    assert "did you mean budget?" in text
    assert "did you mean name?" in text
    assert "close needs a length" in text
