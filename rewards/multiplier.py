"""The multiplier of a constraint: how much a shortfall costs, learned while training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Multiplier"]


class Multiplier:
    """lambda of a Lagrangian: lambda <- clip(lambda + rate (at_least - mean), 0, highest) after each training batch.

    It grows while the mean of a reward stays below `at_least` and falls while it is above: what is asked for costs no
    more than it takes. A high rate makes it swing. Source: primal-dual ascent, textbook; for lengths LEASH,
    arXiv 2512.21540.

    Args:
        value: where it begins, from 0 to `highest`.
        rate: step size of the ascent, above 0.
        highest: bound, above 0.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, value: float = 1.0, rate: float = 0.1, highest: float = 10.0) -> None:
        if rate <= 0 or not 0 <= value <= highest or highest <= 0:
            raise ValueError(f"a multiplier begins between 0 and highest_multiplier = {highest}, found {value}")
        self.value, self.rate, self.highest = value, rate, highest

    def update(self, mean: float, at_least: float) -> None:
        """Learn from the mean of one batch."""
        self.value = min(self.highest, max(0.0, self.value + self.rate * (at_least - mean)))

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {"value": self.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `state_dict` gave it; never above a bound that is lower now."""
        self.value = min(self.highest, float(state["value"]))
