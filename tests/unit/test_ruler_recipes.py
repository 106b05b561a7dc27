"""Ruler's recipes in both orders, as the headers name the commands: each begins where the one before it ended."""

from __future__ import annotations

from recipe_headers import CONFIGS, commands

from lengthctl.config import load_config
from lengthctl.pipelines.sampling import asking_control


def test_reward_first_then_tokens() -> None:
    _, first, then = commands("ruler_rl")[-3:]
    (compared,) = commands("ruler_rl", "eval")
    rewarded, tuned = (load_config(CONFIGS / f"{words[2]}.yaml", words[3:]) for words in (first, then))
    assert (rewarded.train.method, tuned.train.method) == ("grpo", "sft")
    assert rewarded.model.name == "smollm2-135m-instruct"
    assert asking_control(rewarded) == "plain"  # it has no tokens yet
    assert tuned.model.name == f"runs/{rewarded.run.name}/model"
    assert tuned.data is not None
    assert tuned.data.mlt == "ruler"
    sides = [word for word in compared[2:] if "@" in word]
    assert sides[1:3] == [f"runs/{rewarded.run.name}@plain", f"runs/{tuned.run.name}@mlt"]


def test_tokens_first_then_reward() -> None:
    words = next(words for words in commands("ruler_rl") if "model.name=runs/ruler/model" in words)
    config = load_config(CONFIGS / "ruler_rl.yaml", words[3:])
    assert (config.train.method, asking_control(config)) == ("grpo", "mlt")
