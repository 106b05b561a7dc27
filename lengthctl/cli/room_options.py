"""The options of verbs that let a model make data in several calls a document, and the room that they open."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from lengthctl.cli.app import RepetitionPenalty, prepare_for
from lengthctl.cli.named import OF_TRAINING, load_named, model_overrides
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.models import LoadedTokenizer
    from lengthctl.pipelines.room import Room
    from lengthctl.pipelines.room_estimate import Prices
    from lengthctl.progress import Narrator
    from lengthctl.rollout.backend import Ability

__all__ = ["ROOM", "DryRun", "RoomOptions", "with_room_options"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show first prompts and the expected cost, start nothing.")]


@dataclass(frozen=True)
class RoomOptions:
    """What the options of a verb say. Those with a help text are options of every verb `with_room_options`, in this
    order; the verb itself tells the others by `of`."""

    recipe: Annotated[str, typer.Option("--config", help="Recipe whose model and rollout sections are used.")] = (
        "quickstart"
    )
    model: Annotated[
        str | None,
        typer.Option("--model", "--endpoint-model", help="A run folder, a model folder, a hub id, or a name there."),
    ] = None
    endpoint: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server, up to /v1.")] = None
    key_env: Annotated[str | None, typer.Option(help="Environment variable with the endpoint's key.")] = None
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="Of calls that name no other.")] = 0.7
    repetition_penalty: RepetitionPenalty = 1.0
    in_flight: Annotated[
        int | None, typer.Option(min=1, help="Documents at once; default: as many as the backend runs.")
    ] = None
    failure_budget: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the documents that may come to nothing before the command stops."),
    ] = 0.1
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Price of a million prompt tokens, to tell the cost.")
    ] = None
    price_out: Annotated[float | None, typer.Option(min=0, help="Price of a million completion tokens.")] = None
    verb: str = ""
    """Named in errors."""
    seed: int = 0
    overrides: Sequence[str] = ()
    """Of the recipe."""

    def of(self, verb: str, seed: int, overrides: Sequence[str]) -> RoomOptions:
        """The same with what is no option of a room."""
        return replace(self, verb=verb, seed=seed, overrides=overrides)

    def config(self) -> Config:
        """The recipe with the model or endpoint that is named.

        Raises:
            ConfigError: options that do not go together, or a recipe that cannot be used.
        """
        if self.endpoint is None and self.key_env is not None:
            raise ConfigError(self.verb, [Problem("--key-env", "has no effect without --endpoint")])
        if self.endpoint is not None and self.model is None:
            raise ConfigError(self.verb, [Problem("--model", "is missing: which of the endpoint's models")])
        named = [] if self.model is None else model_overrides(self.model, self.endpoint, self.key_env)
        return load_named(self.recipe, [*OF_TRAINING, *named, f"run.seed={self.seed}", *self.overrides])

    @property
    def prices(self) -> Prices | None:
        """None where neither is named; one alone leaves the other at 0."""
        from lengthctl.pipelines.room_estimate import Prices

        if self.price_in is None and self.price_out is None:
            return None
        return Prices(self.price_in or 0.0, self.price_out or 0.0)

    def tokenizer(self, config: Config) -> LoadedTokenizer | None:
        """Of a model here; None with an endpoint. For a dry run."""
        from lengthctl.models import load_tokenizer

        return load_tokenizer(config.model) if config.rollout.backend == "vllm" else None

    @contextmanager
    def opened(
        self,
        config: Config,
        out: Path,
        narrator: Narrator,
        *,
        title: str,
        control: str | None = None,
        needs: frozenset[Ability] = frozenset(),
        context_tokens: int | None = None,
    ) -> Iterator[Room]:
        """The room, its answers kept in `out`; see `room_setup.opened_room`.

        Args:
            title: of the data that are made; nothing is started for a folder that holds others.

        Raises:
            RunFolderError: it does.
        """
        from lengthctl.data_gen.dataset_folder import refuse_other_data

        refuse_other_data(out, title)
        prepare_for(config.rollout.backend)
        from lengthctl.pipelines.room_setup import opened_room
        from lengthctl.rollout.backend import Sampling

        with opened_room(
            config,
            out,
            sampling=Sampling(temperature=self.temperature, repetition_penalty=self.repetition_penalty),
            narrator=narrator,
            control=control,
            in_flight=self.in_flight,
            failure_budget=self.failure_budget,
            context_tokens=context_tokens,
            needs=needs,
            prices=self.prices,
        ) as room:
            yield room


ROOM = RoomOptions()
"""Marks the place of the options in a verb's signature."""


def with_room_options(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A verb gets the options of a room in the place of its parameter `room`, a `RoomOptions`.

    Args:
        defaults: of options, where the verb has others.

    Raises:
        ValueError: no such option.
    """
    if unknown := defaults.keys() - {one.name for one in _parameters({})}:
        raise ValueError(f"a room has no option {sorted(unknown)[0]!r}")

    def taken(verb: Callable[..., None]) -> Callable[..., None]:
        asked = _parameters(defaults)

        @functools.wraps(verb)
        def command(**given: Any) -> None:
            room = RoomOptions(**{one.name: given.pop(one.name) for one in asked})
            verb(**given, room=room)

        own = inspect.signature(verb, eval_str=True)
        listed = ((asked if one.name == "room" else [one]) for one in own.parameters.values())
        # what typer reads
        command.__signature__ = own.replace(parameters=[*chain.from_iterable(listed)])  # type: ignore[attr-defined]
        return command

    return taken


def _parameters(defaults: dict[str, Any]) -> list[inspect.Parameter]:
    """Of the options, with the verb's own defaults."""
    hints = get_type_hints(RoomOptions, include_extras=True)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(one.name, kind, default=defaults.get(one.name, one.default), annotation=hints[one.name])
        for one in fields(RoomOptions)
        if hasattr(hints[one.name], "__metadata__")
    ]
