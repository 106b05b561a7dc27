"""Limits of the recipes on worked arithmetic: no solution that they train is cut by what measures it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lengthctl.config import ModelConfig, load_config
from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.models import BUNDLED, load_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def longest() -> int:
    """Tokens of the longest solution in the long form, its stop token counted."""
    tokenizer = load_tokenizer(ModelConfig(name=BUNDLED))
    return max(len(tokenizer.encode(task.worked[Verbosity.LONG])) + 1 for task in make_tasks(200, 0, split="test"))


@pytest.mark.parametrize("recipe", ["arithmetic", "c3ot"])
def test_long_solutions_end_within_the_limit_of_their_recipes(recipe: str, longest: int) -> None:
    config = load_config(ROOT / "configs" / f"{recipe}.yaml")
    assert config.evaluate.max_tokens > longest
    assert config.trainer["max_length"] > longest + 100  # the prompt


def test_long_solutions_end_within_the_limit_of_the_script_for_the_base(longest: int) -> None:
    script = (ROOT / "scripts" / "arithmetic_base.py").read_text(encoding="utf-8")
    (limit,) = re.findall(r"evaluate\.max_tokens=(\d+)", script)
    assert int(limit) > longest
