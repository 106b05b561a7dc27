"""Configs: every shipped recipe loads; problems come all at once, with lines and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lengthctl.config import config_digest, load_config
from lengthctl.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads(path: Path) -> None:
    assert load_config(path).rewards


def test_overrides_reach_sections_and_named_rewards() -> None:
    config = load_config(RECIPES[0], ["trainer.learning_rate=2e-6", "rewards.repetition.weight=0.5"])
    assert config.trainer["learning_rate"] == 2e-6
    assert {r.name: r.weight for r in config.rewards}["repetition"] == 0.5


def test_all_problems_at_once_with_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("rollout:\n  engnes: 2\nrewards:\n  - name: bnad\nevaluate:\n  samples: many\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["nonsense"])
    text = str(caught.value)
    assert "4 problems" in text
    assert "line 2  rollout.engnes  unknown key; did you mean engines?" in text
    assert "did you mean band?" in text
    assert "line 6  evaluate.samples" in text
    assert "key=value" in text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("rewards: [{name: band}]\nrewards: []\n", "duplicate"),
        ("rewards: [{name: band}, {name: band}]\n", "two rewards are called"),
        ("rewards: [{name: band}]\nrollout: {backend: endpoint}\n", "rollout.endpoint is needed"),
        ("rewards: [{name: band}]\nprompts: {targets: [0]}\n", "at least 1"),
        ("rewards: [{name: band}]\ntrain: {keep_best: 9}\n", "num_generations = 8"),
    ],
)
def test_refusals(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        load_config(path)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("trainer.learnig_rate=1", "did you mean learning_rate"),
        ("trainer.learning_rate=fast", "TRL wants float, found str"),
        ("trainer.seed=1", "set run.seed"),
        ("trainer.vllm_mode=server", "see the rollout section"),
        ("trainer.num_generations=7", "7 does not divide the generation batch 128"),
        ("trainer.steps_per_generation=2", "train.keep_best  needs trainer.steps_per_generation = 1"),
        ("prompts.targets=[5000]", "5000 x 1.4 = 7000 tokens, but 0.9 x trainer.max_completion_length = 230"),
    ],
)
def test_trainer_and_cross_section_refusals(override: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_config(RECIPES[0], [override])


def test_only_max_steps_may_change() -> None:
    base = load_config(RECIPES[0])
    assert config_digest(base) == config_digest(load_config(RECIPES[0], ["trainer.max_steps=99"]))
    assert config_digest(base) != config_digest(load_config(RECIPES[0], ["run.seed=1"]))
