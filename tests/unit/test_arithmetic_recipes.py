"""Limits of the recipes on worked arithmetic: no solution that they train is cut by what measures it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lengthctl.cli.bench import find_bench
from lengthctl.config import ModelConfig, load_config
from lengthctl.config.bench_loading import load_bench
from lengthctl.data_gen.checkable import Verbosity, make_tasks
from lengthctl.decode.build import parse_control
from lengthctl.decode.early_exit import EarlyExit
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


def test_the_bench_cuts_no_long_solution_but_where_a_method_is_the_cut(longest: int) -> None:
    bench = load_bench(find_bench("arithmetic"))
    assert bench.max_tokens > longest
    for name in ("tldr", "l1", "dler"):
        train = bench.methods[name].train
        assert train is not None
        config = load_config(ROOT / "configs" / f"{train.recipe}.yaml", train.overrides)
        assert (config.trainer["max_completion_length"] > longest) is (name != "dler")
        assert config.evaluate.max_tokens > longest
        if name == "l1":  # what it is asked for is what it was trained on
            assert config.prompts.resolved_targets == bench.methods[name].resolved_targets
    exits = parse_control(bench.methods["early exit"].control)
    assert isinstance(exits, EarlyExit)
    assert exits.tokens > longest


def test_the_bench_compresses_the_rows_of_its_base() -> None:
    bench = load_bench(find_bench("arithmetic"))
    train = bench.methods["c3ot"].train
    assert train is not None
    folder, _, verbosity = bench.base.rpartition("/base-")
    assert f"{folder}/data-{verbosity}/train.jsonl" in train.before[0]
    assert f"arithmetic_base.py {folder} {verbosity} " in find_bench("arithmetic").read_text(encoding="utf-8")
