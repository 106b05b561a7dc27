"""How the loop uses its recipe: what fits it, what its header names, and that a finished training is not repeated."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lengthctl.cli.named import model_overrides
from lengthctl.cli.settings import changed, split_words
from lengthctl.config import load_config
from lengthctl.data_gen.self_lengthen_settings import PROFILES
from lengthctl.errors import ConfigError, RunFolderError
from lengthctl.pipelines.self_lengthen_models import LocalModels, check_recipe
from lengthctl.progress import Narrator
from lengthctl.rollout.backend import Sampling
from lengthctl.rundir import RunFolder

RECIPE = Path(__file__).parents[3] / "configs" / "self_lengthen.yaml"


def models(*overrides: str) -> LocalModels:
    return LocalModels(load_config(RECIPE, overrides), Sampling(), Narrator(quiet=True))


def finished(config: LocalModels, data: Path, folder: Path) -> None:
    """A run of that training that has ended, without its weights."""
    recipe = [f"model.name={folder}", f"data.source={data}", f"run.dir={folder.parent}", f"run.name={folder.name}"]
    run = RunFolder.create(load_config(RECIPE, recipe), folder.name)
    run.begin()
    run.summary.write_text("{}")
    run.close()


def test_the_recipe_fits_the_loop() -> None:
    check_recipe(load_config(RECIPE))


@pytest.mark.parametrize(
    ("name", "overrides", "told"),
    [
        ("quickstart", [], "train.method"),
        ("ruler", [], "meta length tokens"),
        ("hyperfit", [], "prompts and completions"),
    ],
)
def test_other_recipes_are_refused(name: str, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_recipe(load_config(RECIPE.with_name(f"{name}.yaml"), overrides))


def test_several_trainer_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        check_recipe(load_config(RECIPE))


def test_the_settings_of_the_header_are_settings() -> None:
    header = "\n".join(line[1:] for line in RECIPE.read_text().splitlines() if line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", header)
    (words,) = [shlex.split(line) for line in re.findall(r"lengthctl data self-lengthen INSTR.*", joined)]
    options = {"--out", "--profile", "--model"}
    places = [i for i, word in enumerate(words) if word in options]
    given = {words[i]: words[i + 1] for i in places}
    rest = [word for i, word in enumerate(words[3:], 3) if i not in places and i - 1 not in places]
    sources, settings, overrides = split_words(rest)
    assert sources == ["INSTRUCTIONS.jsonl"]
    assert changed(PROFILES[given["--profile"]], settings, "").max_tokens == 16_384
    config = load_config(RECIPE, [*model_overrides(given["--model"], None, None), *overrides])
    check_recipe(config)
    assert config.rollout.max_model_len == 2 * config.trainer["max_length"]
    assert config.model.lora is not None


def test_a_finished_training_is_taken_as_it_is(tmp_path: Path) -> None:
    folder, data = tmp_path / "generator", tmp_path / "train.jsonl"
    loop = models()
    finished(loop, data, folder)
    assert loop.trained(str(folder), data, folder) == str(folder / "model")
    with pytest.raises(RunFolderError, match="another config"):
        models("trainer.learning_rate=3e-4").trained(str(folder), data, folder)
