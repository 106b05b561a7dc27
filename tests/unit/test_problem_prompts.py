"""Problems as training prompts: columns, levels, lengths, what is held out, and recipes that contradict themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lengthctl.config import Config, PromptsConfig, load_config
from lengthctl.config.problem_checks import held_out_set, problem_faults
from lengthctl.config.sections import EvaluateConfig
from lengthctl.errors import ConfigError, DataError
from lengthctl.levels import LEVELS
from lengthctl.pipelines.held_out import HeldOut, load_held_out
from lengthctl.pipelines.problem_prompts import PLAIN, evaluation_problems, problem_asks, training_problems
from lengthctl.pipelines.training_prompts import TrainingPrompt, build_dataset, held_out_prompts, training_prompts
from lengthctl.problem_sources import ask_problem
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.rewards.groups import group_places


def config(evaluate: dict[str, Any] | None = None, **prompts: Any) -> Config:
    return Config(
        prompts=PromptsConfig(**{"problems": "builtin", **prompts}),
        evaluate=EvaluateConfig(**{"problem_limit": 20, **(evaluate or {})}),
    )


def prompts_of(found: Config) -> list[TrainingPrompt]:
    return training_prompts(found, load_held_out(found))


def test_rows_carry_what_rewards_of_answers_read() -> None:
    found = config(limit=5)
    rows = build_dataset(found, prompts_of(found))
    assert set(rows.column_names) == {"prompt", "prompt_id", "answer", "difficulty", "digits"}
    assert all(row["answer"].isdigit() and 1 <= row["difficulty"] <= 4 for row in rows)
    problem = training_problems(found, [])[0]
    assert rows[0]["prompt"] == [{"role": "user", "content": ask_problem(problem.question)}]


def test_every_level_of_a_problem_is_a_group_of_its_own() -> None:
    found = config(limit=3, levels=["short", "long"])
    rows = build_dataset(found, prompts_of(found))
    assert rows["level"] == ["short", "long"] * 3
    assert all(row["prompt"][-1]["content"].endswith("\n" + LEVELS[row["level"]]) for row in rows)
    drawn = [row for row in rows for _ in range(2)]  # as TRL repeats the members of a group
    columns = {name: [row[name] for row in drawn] for name in ("prompt_id", "level")}
    assert group_places(12, columns) == [[i, i + 1] for i in range(0, 12, 2)]


def test_a_length_is_worded_and_kept_as_a_target() -> None:
    found = config(limit=2, targets=[20, 60], wordings=["{request} Think for {length}."])
    rows = build_dataset(found, prompts_of(found))
    assert [row["target"]["value"] for row in rows] == [20, 60] * 2
    assert rows[1]["prompt"][-1]["content"].endswith("behind ####. Think for about 60 words.")
    assert [ask.label for ask in problem_asks(found)] == ["20", "60"]


def test_what_is_held_out_is_not_trained(tmp_path: Path) -> None:
    def write(name: str, numbers: range) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps({"problem": f"p{i}", "answer": str(i)}) + "\n" for i in numbers))
        return f"aime={path}"

    found = config({"problems": write("test.jsonl", range(3, 6))}, problems=write("train.jsonl", range(6)), limit=2)
    assert [p.question for p in evaluation_problems(found)] == ["p3", "p4", "p5"]
    assert [p.question for p in training_problems(found, evaluation_problems(found))] == ["p0", "p1"]
    same = config({"problems": found.prompts.problems}, problems=found.prompts.problems)
    with pytest.raises(DataError, match="are held out"):
        training_problems(same, evaluation_problems(same))


def test_builtin_problems_are_those_of_no_run_and_of_the_difficulty_asked_for() -> None:
    hard = config(limit=30, problem_steps=[5, 6], problem_digits=2)
    other_seed = hard.model_copy(update={"run": hard.run.model_copy(update={"seed": 7})})
    assert [p.id for p in prompts_of(hard)] == [p.id for p in prompts_of(other_seed)]
    held_out, trained = evaluation_problems(hard), training_problems(hard, [])
    assert {p.difficulty for p in (*held_out, *trained)} == {5.0, 6.0}
    assert len(held_out) == 20
    assert not {p.question for p in held_out} & {p.question for p in trained}


def test_columns_of_a_set_that_mean_something_else_do_not_travel(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"problem": "p", "answer": "1", "level": "Level 3", "group": 4, "is_correct": True, "reference_tokens": 50}
    path.write_text(json.dumps(row) + "\n")
    found = config({"problems": "builtin"}, problems=f"math={path}")
    (prompt,) = prompts_of(found)
    assert prompt.columns == {"reference_tokens": 50, "answer": "1", "difficulty": 3.0}


def test_problems_alone_are_measured_where_no_length_is_asked() -> None:
    alone, both = config(), config(targets=[30])
    assert alone.prompts.targets == []
    assert not load_held_out(alone).prompts
    held_out = load_held_out(both)
    assert len(held_out.problems) == 20
    assert {p.target.label for p in held_out.prompts} == {"30"}
    lengths = Config()
    assert load_held_out(lengths).asks == [PLAIN]
    assert not load_held_out(lengths).problems
    assert [p.target for p in held_out_prompts(lengths, HeldOut(held_out.prompts[:1]))] == [held_out.prompts[0].target]


def test_without_lengths_and_problems_prompts_are_trained_as_they_stand() -> None:
    as_they_stand = config({"problems": "builtin"}, problems=None, targets=[])
    assert not list(problem_faults(as_they_stand))
    prompts = training_prompts(as_they_stand, HeldOut())
    seeds = load_seed_prompts(as_they_stand.prompts, "train")
    assert [p.messages for p in prompts] == [seed.messages for seed in seeds]
    assert {p.target for p in prompts} == {None}


@pytest.mark.parametrize(
    ("problems", "split", "wanted"),
    [("builtin", "train", "builtin"), ("gsm8k", "train", "gsm8k"), ("math500", "train", "math500")],
)
def test_the_held_out_split_of_the_same_set(problems: str, split: str, wanted: str) -> None:
    assert held_out_set(config(problems=problems, split=split)) == wanted
    assert held_out_set(config({"problems": "aime"}, problems=problems)) == "aime"


@pytest.mark.parametrize("problems", ["math", "gsm8k=train.jsonl"])
def test_a_set_without_another_split_needs_one_named(problems: str) -> None:
    found = config(problems=problems)
    assert [p.where for p in problem_faults(found)] == ["evaluate.problems"]
    with pytest.raises(DataError, match="no other split is known"):
        evaluation_problems(found)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("levels: [short]", "levels have no effect without problems"),
        ("{problems: builtin, levels: [shrot]}", "did you mean short"),
        ("{problems: builtin, levels: [short, short]}", "names one twice"),
        ("{problems: builtin, levels: [short], targets: [10]}", "set targets to"),
        ("{problems: builtin, source: x.jsonl}", "source has no effect with problems"),
        ("{problems: builtin, mlt: true}", "mlt has no effect with problems"),
        ("{problems: builtin, problem_steps: [3, 1]}", "1 <= fewest <= most <= 50"),
        ("{problems: builtni}", "no problem set 'builtni'; did you mean builtin"),
        ("{problem_digits: 2}", "has no effect without builtin problems"),
        ("{targets: []}", "there are no problems: give one of the two"),
        ("{targets: null}", "there are no problems: give one of the two"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"prompts: {text if text.startswith('{') else '{' + text + '}'}\nrewards: [{{name: finished}}]\n")
    with pytest.raises(ConfigError, match=match):
        load_config(path)


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["prompts.problems=builtin"], "has no effect with train.method = sft"),
        (["prompts.targets=[]", "evaluate.problems=builtin", "evaluate.max_tokens=null"], "is needed without"),
        (["prompts.targets=[]"], "give one of the two"),
    ],
)
def test_a_supervised_recipe_is_measured_by_problems_but_not_trained_on_them(overrides: list[str], match: str) -> None:
    recipe = Path(__file__).parents[2] / "configs" / "arithmetic.yaml"
    load_config(recipe, ["prompts.targets=[]", "evaluate.problems=builtin"])
    with pytest.raises(ConfigError, match=match):
        load_config(recipe, overrides)
