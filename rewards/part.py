"""One reward in the mix, and its values, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from lengthctl.errors import RewardError
from lengthctl.rewards.build import Reward
from lengthctl.rewards.completions import Completions
from lengthctl.rewards.multiplier import Multiplier

__all__ = ["Part", "Role"]

Role = Literal["reward", "gate", "floor", "constraint"]
"""What a reward is in the mix, see `Combined`."""


@dataclass(frozen=True)
class Part:
    """One reward in the mix.

    Args:
        name: unique in the mix.
        reward: the reward.
        weight: in the sum; strength of a gate, in [0, 1]; of a constraint unused.
        role: see `Combined`.
        at_least: of a floor and of a constraint.
        multiplier: of a constraint; None takes a new one.

    Raises:
        ValueError: a floor or a constraint without `at_least`.
    """

    name: str
    reward: Reward
    weight: float
    role: Role
    at_least: float | None = None
    multiplier: Multiplier | None = None

    def __post_init__(self) -> None:
        if self.role in ("floor", "constraint") and self.at_least is None:
            raise ValueError(f"the {self.role} {self.name} needs at_least")
        if self.role == "constraint" and self.multiplier is None:
            object.__setattr__(self, "multiplier", Multiplier())

    def values(self, completions: Completions, columns: Mapping[str, Any]) -> list[float | None]:
        """Its own values, one a completion.

        Raises:
            RewardError: it raised, or returned anything but one finite number or None a completion.
        """
        try:
            values = list(self.reward(completions=completions, **columns))
        except Exception as error:
            raise RewardError(f"reward {self.name} raised {type(error).__name__}: {error}") from error
        if len(values) != len(completions):
            raise RewardError(f"reward {self.name} returned {len(values)} values for {len(completions)} completions")
        for value in values:
            if value is not None and (not isinstance(value, Real) or not math.isfinite(value)):
                raise RewardError(f"reward {self.name} returned {value!r}, not a finite number or None")
        return [None if value is None else float(value) for value in values]

    def share(self, value: float) -> float:
        """What a value of it adds to the sum; a gate adds nothing."""
        if self.multiplier is not None and self.at_least is not None:
            return self.multiplier.value * (value - self.at_least)
        return self.weight * value

    def least_share(self) -> float | None:
        """The least that it adds to the sum, whatever the completion; None if that is unbounded. What a reward of the
        user's does not declare is taken to be 0."""
        worst = "highest" if self.role == "reward" and self.weight < 0 else "lowest"
        bound = float(getattr(self.reward, worst, 0.0))
        return self.share(bound) if math.isfinite(bound) else None
