"""The registered rewards, described."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

from lengthctl.rewards import load_rewards
from lengthctl.rewards.arguments import Argument, arguments_of
from lengthctl.rewards.build import reward_class

__all__ = ["RewardInfo", "describe_reward", "list_rewards"]


@dataclass(frozen=True)
class RewardInfo:
    """What a reward is; `lowest` and `highest` are those of its default arguments, None where it is unbounded."""

    name: str
    summary: str
    """First line of its description."""
    description: str
    scope: str
    """What a value depends on: `completion`, `group` or `batch`."""
    lowest: float | None
    highest: float | None
    columns: tuple[str, ...]
    """Columns of the data that it needs."""
    arguments: tuple[Argument, ...]


def list_rewards() -> list[RewardInfo]:
    """All, by name."""
    return [describe_reward(name) for name in load_rewards()]


def describe_reward(name: str) -> RewardInfo:
    """The reward of this name.

    Raises:
        ValueError: there is none; the message holds the nearest one.
    """
    kind: Any = reward_class(name)
    arguments = tuple(arguments_of(kind))
    example = kind if any(argument.is_needed for argument in arguments) else kind()
    description = inspect.getdoc(kind) or ""
    return RewardInfo(
        name=name,
        summary=description.partition("\n")[0],
        description=description,
        scope=str(getattr(example, "scope", "completion")),
        lowest=_bound(getattr(example, "lowest", None)),
        highest=_bound(getattr(example, "highest", None)),
        columns=tuple(getattr(example, "columns", ())),
        arguments=arguments,
    )


def _bound(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
