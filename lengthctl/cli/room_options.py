"""The options of verbs that let a model make data in several calls a document, and the room that they open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lengthctl.cli.app import prepare_for
from lengthctl.cli.named import OF_TRAINING, load_named, model_overrides
from lengthctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.models import LoadedTokenizer
    from lengthctl.pipelines.room import Room
    from lengthctl.pipelines.room_estimate import Prices
    from lengthctl.progress import Narrator
    from lengthctl.rollout.backend import Ability

__all__ = [
    "DryRun",
    "Endpoint",
    "FailureBudget",
    "InFlight",
    "KeyEnv",
    "Model",
    "PriceIn",
    "PriceOut",
    "Recipe",
    "RoomOptions",
    "Temperature",
]

Model = Annotated[
    str | None,
    typer.Option("--model", "--endpoint-model", help="A run folder, a model folder, a hub id, or a name there."),
]
Endpoint = Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server, up to /v1.")]
KeyEnv = Annotated[str | None, typer.Option(help="Environment variable with the endpoint's key.")]
Recipe = Annotated[str, typer.Option("--config", help="Recipe whose model and rollout sections are used.")]
Temperature = Annotated[float, typer.Option(min=0.0, max=2.0, help="Of calls that name no other.")]
InFlight = Annotated[int | None, typer.Option(min=1, help="Documents at once; default: as many as the backend runs.")]
FailureBudget = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the documents that may come to nothing before the command stops.")
]
PriceIn = Annotated[float | None, typer.Option(min=0, help="Price of a million prompt tokens, to tell the cost.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="Price of a million completion tokens.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show first prompts and the expected cost, start nothing.")]


@dataclass(frozen=True)
class RoomOptions:
    """What the options of a verb say; `verb` names it in errors."""

    verb: str
    recipe: str = "quickstart"
    model: str | None = None
    endpoint: str | None = None
    key_env: str | None = None
    temperature: float = 0.7
    in_flight: int | None = None
    failure_budget: float = 0.1
    price_in: float | None = None
    price_out: float | None = None
    seed: int = 0
    overrides: Sequence[str] = ()
    """Of the recipe."""

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
        control: str | None = None,
        needs: frozenset[Ability] = frozenset(),
        context_tokens: int | None = None,
    ) -> Iterator[Room]:
        """The room, its answers kept in `out`; see `room_setup.opened_room`."""
        prepare_for(config.rollout.backend)
        from lengthctl.pipelines.room_setup import opened_room
        from lengthctl.rollout.backend import Sampling

        with opened_room(
            config,
            out,
            sampling=Sampling(temperature=self.temperature),
            narrator=narrator,
            control=control,
            in_flight=self.in_flight,
            failure_budget=self.failure_budget,
            context_tokens=context_tokens,
            needs=needs,
            prices=self.prices,
        ) as room:
            yield room
