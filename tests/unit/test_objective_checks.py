"""Objectives that contradict themselves are refused with the reason, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from lengthctl.config import load_config
from lengthctl.config.advantage import AdvantageConfig
from lengthctl.errors import ConfigError

RECIPE = "rewards: [{name: log_ratio}]\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["train.advantage.scale=group_std", "trainer.scale_rewards=group"], "trainer.scale_rewards  = group has no"),
        (["train.advantage.baseline=none", "train.survivor_decay=1"], "is an estimator of its own"),
        (["train.advantage.keep=2", "train.keep_best=1"], "chooses members of a group"),
        (["train.advantage.keep=8"], "= 8, and trainer.num_generations = 8: keep fewer"),
        (["train.advantage.keep=4", "trainer.steps_per_generation=2"], "train.advantage.keep  changes how many rows"),
        (
            ["train.advantage.filter=spread", "trainer.steps_per_generation=2"],
            "train.advantage.filter  changes how many",
        ),
        (["train.advantage.filter=spread", "trainer.scale_rewards=batch"], "set train.advantage.scale = batch_std"),
        (["train.advantage.filter=correct"], "no reward here checks answers"),
        (
            ["train.advantage={filter: spread, resample_rounds: 2}", "train.overlap=true"],
            "train.advantage.resample_rounds = 2 would draw for this one",
        ),
        (["trainer.importance_sampling_level=sequence"], "trainer.loss_type = dapo weighs a sequence by its tokens"),
        (["trainer.loss_type=cispo"], "trainer.epsilon_high  is needed with trainer.loss_type = cispo"),
        (["trainer.num_generations=1"], "at least 2"),
        (["trainer.multi_objective_aggregation=normalize_then_sum"], "GDPO cannot scale each by itself"),
        (["train.advantage.fliter=spread"], "did you mean filter?"),
    ],
)
def test_contradictions(recipe: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(recipe, overrides)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.advantage={baseline: leave_one_out, filter: spread, resample_rounds: 2}"],
        ["train.advantage={keep: 4, keep_by: reward_per_token}", "trainer.num_iterations=2"],
        ["train.advantage.filter=skew", "train.advantage.max_skew=0.5", "train.survivor_decay=0.9"],
        ["train.advantage.filter=spread", "trainer.scale_rewards=group", "train.keep_best=2"],
        ["trainer.importance_sampling_level=sequence", "trainer.loss_type=grpo"],
        ["trainer.loss_type=cispo", "trainer.epsilon_high=5.0"],
    ],
)
def test_what_fits_together(recipe: Path, overrides: list[str]) -> None:
    load_config(recipe, overrides)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"keep": 4, "scale": "none"}, "leave baseline and scale out"),
        ({"baseline": "none", "scale": "centred_batch_std"}, "needs a baseline"),
        ({"std_floor": 0.05}, "std_floor has no effect"),
        ({"keep_by": "reward_per_token"}, "has no effect without keep"),
        ({"max_skew": 0.5, "filter": "spread"}, "max_skew has no effect with filter = spread"),
        ({"resample_rounds": 1}, "without a filter"),
        ({"keep": 1}, "greater than or equal to 2"),
        ({"max_skew": 1.0, "filter": "skew"}, "less than 1"),
    ],
)
def test_keys_without_effect(keys: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AdvantageConfig(**keys)  # type: ignore[arg-type]


OWN_OPTIONS = """
rewards: [{name: log_ratio}]
trainer: {scale_rewards: none, epsilon_high: 0.3, num_generations: 4, lr_scheduler_type: constant}
"""


@pytest.fixture
def own_options(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OWN_OPTIONS, encoding="utf-8")
    return path


def test_null_takes_an_option_of_the_recipe_away(own_options: Path) -> None:
    with pytest.raises(ConfigError, match=r"no effect .* leave it out \(trainer\.scale_rewards=null\)"):
        load_config(own_options, ["train.preset=rloo"])
    config = load_config(own_options, ["train.preset=rloo", "trainer.scale_rewards=null"])
    assert config.train.advantage.baseline == "leave_one_out"
    assert "scale_rewards" not in config.trainer
    filled = load_config(own_options, ["trainer.scale_rewards=null", "train.preset=grpo"])
    assert filled.trainer["scale_rewards"] == "group"
    for key in ("num_generations", "lr_scheduler_type"):
        assert key not in load_config(own_options, [f"trainer.{key}=null"]).trainer


def test_null_stays_where_it_is_a_value(own_options: Path) -> None:
    config = load_config(own_options, ["trainer.epsilon_high=null", "trainer.scale_rewards=null", "train.preset=dler"])
    assert config.trainer["epsilon_high"] is None  # the preset's 0.28 would be another objective


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trainer.scale_reward=null", "did you mean scale_rewards?"),
        ("trainer.temperature=null", "TRL wants float, found NoneType"),  # the recipe sets none
        ("trainer.seed=null", "set run.seed"),
        ("trainer=null", "trainer  = None"),
    ],
)
def test_null_takes_nothing_else_away(own_options: Path, override: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(own_options, [override])
    assert told in str(caught.value)


def test_null_in_the_recipe_itself_is_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "null.yaml"
    path.write_text("rewards: [{name: log_ratio}]\ntrainer: {num_generations: null}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="at least 2"):
        load_config(path)


OWN_REWARD = """
class Whole:
    scope = "{scope}"
    def __call__(self, completions, **_):
        return [0.0] * len(completions)
"""


@pytest.fixture
def own_reward(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    path = tmp_path / f"{request.param}.py"
    path.write_text(OWN_REWARD.format(scope=request.param), encoding="utf-8")
    return f"rewards=[{{name: '{path}:Whole'}}]"


@pytest.mark.parametrize("own_reward", ["batch"], indirect=True)
def test_a_reward_of_the_whole_step_sees_the_whole_step(
    recipe: Path, own_reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_config(recipe, [own_reward])
    with pytest.raises(ConfigError, match=r"which train\.advantage\.resample_rounds = 1 draws in pieces"):
        load_config(recipe, [own_reward, "train.advantage={filter: spread, resample_rounds: 1}"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="each of 2 processes sees its own: start one process"):
        load_config(recipe, [own_reward])


@pytest.mark.parametrize("own_reward", ["group"], indirect=True)
def test_a_reward_of_groups_sees_whole_groups(recipe: Path, own_reward: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    load_config(recipe, [own_reward, "trainer.generation_batch_size=16"])
    with pytest.raises(ConfigError, match="splits over 2 processes"):
        load_config(recipe, [own_reward, "trainer.generation_batch_size=24"])
