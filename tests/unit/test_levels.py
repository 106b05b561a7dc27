"""Levels: the same words in training and inference, byte for byte."""

from __future__ import annotations

import pytest
from solver import Solver

from lengthctl.config import Config, PromptsConfig
from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Context, Task
from lengthctl.decode.level import Level
from lengthctl.decode.run import run_controls
from lengthctl.errors import ConfigError
from lengthctl.length import Target
from lengthctl.levels import LEVELS, ask_level
from lengthctl.models import BUNDLED, load_tokenizer
from lengthctl.pipelines.held_out import HeldOut
from lengthctl.pipelines.problem_prompts import PLAIN, asked_messages
from lengthctl.pipelines.training_prompts import training_prompts
from lengthctl.problem_sources import Problem
from lengthctl.rollout.backend import Sampling


def test_a_level_ends_the_last_turn_and_changes_nothing_else() -> None:
    talk = ({"role": "system", "content": "s"}, {"role": "user", "content": "q"})
    assert ask_level(talk, "long") == (talk[0], {"role": "user", "content": f"q\n{LEVELS['long']}"})
    assert talk[1]["content"] == "q"
    assert len(set(LEVELS.values())) == len(LEVELS) == 3
    with pytest.raises(ValueError, match="one of short, medium, long, found 'tiny'"):
        ask_level(talk, "tiny")


@pytest.mark.parametrize("name", LEVELS)
def test_the_control_asks_what_training_asked(name: str) -> None:
    config = Config(prompts=PromptsConfig(problems="builtin", levels=[name], limit=1))  # type: ignore[call-arg]
    (trained,) = training_prompts(config, HeldOut())
    problem = Problem(trained.seed_id, trained.messages[0]["content"].partition("\n")[0], "", "checkable")
    backend = Solver(lambda text: "#### 1")
    task = Task("t", asked_messages(problem, PLAIN))
    (outcome,) = run_controls(backend, [(task, parse_control(f"level:name={name}"))], Context(Sampling()))
    assert backend.seen == [trained.messages[-1]["content"]]
    assert (outcome.text, outcome.draws) == ("#### 1", 1)


@pytest.mark.parametrize("name", LEVELS)
def test_the_words_fit_in_the_room(name: str) -> None:
    from lengthctl.config import ModelConfig

    tokenizer, control = load_tokenizer(ModelConfig(name=BUNDLED)), Level(name)
    task = Task("t", ({"role": "user", "content": "What is 2 plus 2?"},))
    own, worded = (
        len(tokenizer.prompt_ids([dict(m) for m in messages]))
        for messages in (task.messages, ask_level(task.messages, name))
    )
    assert worded + 100 <= own + control.room(task, 100)


def test_the_control_takes_every_text() -> None:
    assert Level().name == "short"
    assert Level("long").refuses(None) is None
    assert Level("long").refuses(Target(50)) is None
    with pytest.raises(ConfigError, match="name is one of short, medium, long, found 'meduim'; did you mean medium"):
        parse_control("level:name=meduim")
