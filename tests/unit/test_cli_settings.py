"""`key=value` words of the data commands: typed, checked, and told apart from files and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from lengthctl.cli.settings import changed, split_words
from lengthctl.errors import ConfigError
from lengthctl.length import Relation, Target, Unit


@dataclass(frozen=True)
class Inner:
    floor: int = 200
    parallel: bool = False


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    share: float = 0.5
    units: tuple[Unit, ...] = (Unit.WORDS,)
    kinds: Mapping[Relation, float] = field(default_factory=dict)
    most: int | None = None
    target: Target | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"a share lies in [0, 1], found {self.share}")


def test_words_are_told_apart() -> None:
    words = ["a=b/c.jsonl", "data.jsonl", "share=0.1", "rollout.engines=2", "run/x=y.jsonl", "-"]
    sources, settings, overrides = split_words(words)
    assert sources == ["data.jsonl", "run/x=y.jsonl", "-"]
    assert settings == ["a=b/c.jsonl", "share=0.1"]
    assert overrides == ["rollout.engines=2"]


def test_fields_of_all_kinds_are_set_by_name() -> None:
    words = ["floor=40", "parallel=true", "share=0.25", "units=[words_mixed, characters]", "kinds={about: 1}", "most=7"]
    made = changed(Outer(), words, "data x")
    assert made == Outer(Inner(40, True), 0.25, (Unit.WORDS_MIXED, Unit.CHARACTERS), {Relation.ABOUT: 1.0}, 7)
    assert changed(made, ["most=null"], "data x").most is None
    assert changed(made, [], "data x") is made


def test_all_faults_are_told_at_once() -> None:
    words = ["flor=1", "share=2", "floor=many", "units=[wrds]", "most={", "parallel=maybe"]
    with pytest.raises(ConfigError) as caught:
        changed(Outer(), words, "data x")
    told = str(caught.value)
    assert "data x: 6 problems" in told
    assert "flor  no such setting; did you mean floor?" in told
    assert "share  a share lies in [0, 1], found 2.0" in told
    assert "floor  = many: " in told
    assert "most  = { is no YAML" in told
    assert "parallel  = maybe: " in told
