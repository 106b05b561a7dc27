"""Combination of rewards that cannot be won by padding or cutting off: sums, times gates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, Protocol

from lengthctl.errors import RewardError
from lengthctl.length import Encoder, Target, count_length
from lengthctl.rewards.build import Reward, build_reward
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["Combined", "Part", "build_combined", "part_name"]


class Spec(Protocol):
    """What a config says of one reward."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float: ...

    @property
    def role(self) -> Literal["reward", "gate"]: ...

    @property
    def args(self) -> Mapping[str, Any]: ...

    @property
    def label(self) -> str | None: ...


@dataclass(frozen=True)
class Part:
    """One reward in the mix."""

    name: str
    reward: Reward
    weight: float
    role: Literal["reward", "gate"]


@dataclass(frozen=True)
class Combined:
    """`floor + (sum_i w_i r_i - floor) * prod_j (1 - w_j + w_j g_j)` over rewards i and gates j. Ours.

    `floor` is the lowest sum possible, so a gate only ever takes away: text that repeats itself or was cut off cannot
    buy its loss back by length. An empty text earns the floor; a completion that the column `is_failed` marks earns
    nothing (None). A part that does not apply (None) is left out. Where TRL hands `log_metric`, the mean of every part
    is logged as `reward_parts/<name>`.

    Args:
        parts: rewards and gates.
        tokenizer: handed to the parts, for targets in tokens.
    """

    parts: tuple[Part, ...]
    tokenizer: Encoder | None = None
    __name__ = "reward"

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; TRL's signature."""
        values = self.components(completions, **columns)
        log_metric = columns.get("log_metric")
        if log_metric is not None:
            for name, column in values.items():
                known = [value for value in column if value is not None]
                if known:
                    log_metric(f"reward_parts/{name}", sum(known) / len(known))
        totals = [self._total(text_of(c), {k: v[i] for k, v in values.items()}) for i, c in enumerate(completions)]
        failed = columns.get("is_failed") or [False] * len(totals)
        return [None if lost else total for lost, total in zip(failed, totals, strict=True)]

    def components(self, completions: Completions, **columns: Any) -> dict[str, list[float | None]]:
        """Every part's own values, before weights and gates.

        Raises:
            RewardError: a part raised, or returned anything but one finite number or None a completion.
        """
        given = {"tokenizer": self.tokenizer, **columns}
        return {part.name: _call(part, completions, given) for part in self.parts}

    def is_spent(self, text: str, target: Target) -> bool:
        """Nothing that the text goes on with can lift its value from the floor.

        Every reward must declare it (`is_spent`), with a weight that is not negative; gates only take away from what
        is above the floor. What one declares not is taken to be open.
        """
        length = count_length(text, target.unit, self.tokenizer)
        summed = [part for part in self.parts if part.role == "reward"]
        return all(part.weight >= 0 and _is_spent(part.reward, length, target) for part in summed)

    def _total(self, text: str, values: Mapping[str, float | None]) -> float | None:
        floor = total = 0.0
        gate = 1.0
        applies = False
        for part in self.parts:
            value = values[part.name]
            if value is None:
                continue
            if part.role == "gate":
                gate *= 1 - part.weight + part.weight * value
            else:
                applies = True
                worst = "lowest" if part.weight >= 0 else "highest"
                floor += part.weight * float(getattr(part.reward, worst, 0.0))
                total += part.weight * value
        if not applies:
            return None
        return floor + (total - floor) * gate if text.strip() else floor


def _is_spent(reward: Reward, length: int, target: Target) -> bool:
    declared = getattr(reward, "is_spent", None)
    return declared is not None and bool(declared(length, target))


def _call(part: Part, completions: Completions, columns: Mapping[str, Any]) -> list[float | None]:
    try:
        values = list(part.reward(completions=completions, **columns))
    except Exception as error:
        raise RewardError(f"reward {part.name} raised {type(error).__name__}: {error}") from error
    if len(values) != len(completions):
        raise RewardError(f"reward {part.name} returned {len(values)} values for {len(completions)} completions")
    for value in values:
        if value is not None and (not isinstance(value, Real) or not math.isfinite(value)):
            raise RewardError(f"reward {part.name} returned {value!r}, not a finite number or None")
    return [None if value is None else float(value) for value in values]


def build_combined(specs: Sequence[Spec], tokenizer: Encoder | None = None) -> Combined:
    """From the `rewards:` list of a config; each part goes by its `part_name`."""
    parts = (Part(part_name(spec), build_reward(spec.name, spec.args), spec.weight, spec.role) for spec in specs)
    return Combined(tuple(parts), tokenizer)


def part_name(spec: Spec) -> str:
    """Name of a reward in logs: its label, else its registered name, else the function of the user's file."""
    return spec.label or spec.name.rpartition(":")[2]
