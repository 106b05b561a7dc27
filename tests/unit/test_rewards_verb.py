"""`lengthctl rewards`: every reward with range, scope and arguments, without anything heavy."""

from __future__ import annotations

import json
import sys

import pytest
from command_line import lengthctl

from lengthctl.errors import ConfigError
from lengthctl.rewards import load_rewards

HEAVY = ("torch", "ray", "vllm", "trl", "transformers", "datasets", "matplotlib")


def rewards(*args: str) -> str:
    before = {name for name in HEAVY if name in sys.modules}
    result = lengthctl("rewards", *args)
    if result.exception is not None:
        raise result.exception
    assert {name for name in HEAVY if name in sys.modules} == before
    return result.output


def test_all_are_listed_with_range_scope_and_arguments() -> None:
    lines = {line.split()[0]: line for line in rewards().splitlines()}
    assert sorted(lines) == load_rewards()
    assert "[0, 1]         completion" in lines["accuracy"]
    assert lines["accuracy"].endswith("(answer)")
    assert "[-inf, 1]      group" in lines["alp"]


def test_one_is_shown_whole() -> None:
    shown = rewards("surrogate")
    assert shown.startswith("surrogate  [-1, 2], of a completion\n\nFormat and length in place of labels")
    assert "Source: arXiv 2505.19439" in shown
    assert "p: a finite number or measured; default 0.5\n  Where the length reward peaks" in shown
    assert "Needs of the data: answer" in rewards("kimi")


def test_as_json() -> None:
    found = json.loads(rewards("--json"))["rewards"]
    assert [info["name"] for info in found] == load_rewards()
    one = json.loads(rewards("kimi", "--json"))
    assert (one["scope"], one["lowest"], one["columns"]) == ("group", -0.5, ["answer"])
    assert one["arguments"][0]["name"] == "length_weight"
    assert json.loads(rewards("alp", "--json"))["lowest"] is None


def test_a_typo_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean kimi"):
        rewards("kimmi")
