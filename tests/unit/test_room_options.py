"""One definition of a room's options for all verbs that let a model make data."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from lengthctl.cli.room_options import ROOM, RoomOptions, with_room_options

RUNNER = CliRunner()


def verb(got: dict[str, Any], **defaults: Any) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @with_room_options(**defaults)
    def make(
        source: str, before: int = 1, room: RoomOptions = ROOM, after: Annotated[bool, typer.Option("--after")] = False
    ) -> None:
        """Makes something."""
        got.update(source=source, before=before, room=room, after=after)

    return app


def test_a_verb_gets_its_options_by_name() -> None:
    got: dict[str, Any] = {}
    command = ["x", "--model", "m", "--endpoint", "http://h/v1", "--key-env", "K", "--temperature", "0.1", "--after"]
    command += ["--repetition-penalty", "1.2"]
    command += ["--in-flight", "3", "--price-in", "1", "--price-out", "2", "--config", "ruler", "--before", "5"]
    found = RUNNER.invoke(verb(got), command)
    assert found.exit_code == 0, found.output
    expected = RoomOptions("ruler", "m", "http://h/v1", "K", 0.1, 1.2, 3, 0.1, 1.0, 2.0)
    assert got == {"source": "x", "before": 5, "room": expected, "after": True}
    of = expected.of("data x", 7, ["a.b=1"])
    assert (of.verb, of.seed, of.overrides, of.model) == ("data x", 7, ["a.b=1"], "m")


def test_a_verb_may_have_other_defaults() -> None:
    for budget in (0.1, 0.5):
        got: dict[str, Any] = {}
        assert RUNNER.invoke(verb(got, failure_budget=budget), ["x"]).exit_code == 0
        assert got["room"] == RoomOptions(failure_budget=budget)
    with pytest.raises(ValueError, match="budget"):
        with_room_options(budget=1)


def test_the_options_stand_where_the_parameter_does() -> None:
    told = RUNNER.invoke(verb({}), ["--help"]).output
    named = [f"--{one.name.replace('_', '-')}" for one in fields(RoomOptions)[1:9]]
    places = [told.index(name) for name in ["--before", "--config", *named, "--after"]]
    assert places == sorted(places)
    assert "--verb" not in told
    assert "--room" not in told
