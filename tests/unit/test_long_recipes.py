"""The recipes for long texts: they load, and so do the settings for one GPU that their headers name."""

from __future__ import annotations

import pytest
from recipe_headers import CONFIGS, commands

from lengthctl.config import load_config

NAMES = ("longwriter_sft", "longwriter_dpo", "minimum_tuning", "minimum_tuning_annealing")


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_the_header_are_settings(name: str) -> None:
    found = commands(name)
    assert ["lengthctl", "train", name] in found
    (on_a_gpu,) = [words for words in found if "rollout.gpus=1" in words]
    assert on_a_gpu[:3] == ["lengthctl", "train", name]
    config = load_config(CONFIGS / f"{name}.yaml", on_a_gpu[3:])
    assert config.rollout.gpus == 1
    assert max(target.value for target in config.prompts.resolved_targets) == 4000


@pytest.mark.parametrize("name", NAMES)
def test_every_token_weighs_the_same_and_the_held_out_prompts_have_room(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.train.loss_weighting == "tokens", "long texts hardly count where every completion weighs the same"
    assert [target.value for target in config.prompts.resolved_targets] == [300, 500, 800]
    assert config.trainer["max_length"] >= 2048


def test_one_recipe_begins_where_the_other_ended() -> None:
    begun = {name: load_config(CONFIGS / f"{name}.yaml").model.name for name in NAMES}
    assert begun["longwriter_dpo"] == "runs/longwriter_sft/model"
    assert begun["minimum_tuning_annealing"] == "runs/minimum_tuning/model"
    rates = {name: float(load_config(CONFIGS / f"{name}.yaml").trainer["learning_rate"]) for name in NAMES}
    assert rates["minimum_tuning"] == pytest.approx(5 * rates["minimum_tuning_annealing"])
