"""Combination of rewards that cannot be won by padding or cutting off: sums, times gates."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lengthctl.errors import RewardError
from lengthctl.registry import did_you_mean, lookup
from lengthctl.rewards import load_rewards
from lengthctl.rewards.completions import Completions, text_of

__all__ = ["Combined", "Part", "build_combined", "build_reward"]

Reward = Callable[..., Sequence[float | None]]


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
    buy its loss back by length. An empty text earns the floor. A part that does not apply (None) is left out.
    """

    parts: tuple[Part, ...]
    __name__ = "reward"

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; TRL's signature."""
        values = self.components(completions, **columns)
        return [self._total(text_of(c), {k: v[i] for k, v in values.items()}) for i, c in enumerate(completions)]

    def components(self, completions: Completions, **columns: Any) -> dict[str, list[float | None]]:
        """Every part's own values, before weights and gates.

        Raises:
            RewardError: a part raised, or returned anything but one finite number or None a completion.
        """
        return {part.name: _call(part, completions, columns) for part in self.parts}

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
                floor += part.weight * float(getattr(part.reward, "lowest", 0.0))
                total += part.weight * value
        if not applies:
            return None
        return floor + (total - floor) * gate if text.strip() else floor


def _call(part: Part, completions: Completions, columns: Mapping[str, Any]) -> list[float | None]:
    try:
        values = list(part.reward(completions=completions, **columns))
    except Exception as error:
        raise RewardError(f"reward {part.name} raised {type(error).__name__}: {error}") from error
    if len(values) != len(completions):
        raise RewardError(f"reward {part.name} returned {len(values)} values for {len(completions)} completions")
    for value in values:
        if value is not None and (not isinstance(value, int | float) or not math.isfinite(value)):
            raise RewardError(f"reward {part.name} returned {value!r}, not a finite number or None")
    return values


def build_combined(specs: Sequence[Spec]) -> Combined:
    """From the `rewards:` list of a config; `label` renames a second instance of the same reward."""
    return Combined(
        tuple(
            Part(spec.label or spec.name, build_reward(spec.name, spec.args), spec.weight, spec.role) for spec in specs
        )
    )


def build_reward(name: str, args: Mapping[str, Any]) -> Reward:
    """A registered reward, or `path/file.py:function` of the user's own.

    Raises:
        ValueError: unknown name, unknown or wrong argument; the message holds the nearest valid one.
    """
    if ".py:" in name:
        return _load_user_reward(name)
    load_rewards()
    try:
        kind = lookup("reward", name)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error
    assert isinstance(kind, type)
    assert is_dataclass(kind)
    known = [field.name for field in fields(kind)]
    for key, value in args.items():
        if key not in known:
            raise ValueError(f"{name} has no argument {key!r}{did_you_mean(key, known) or '; it takes none'}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name}.{key} is a number, found {value!r}")
    built: Any = kind(**args)
    return built  # type: ignore[no-any-return]


def _load_user_reward(name: str) -> Reward:
    path, _, function = name.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise ValueError(f"{path} does not exist")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reward = getattr(module, function, None)
    if not callable(reward):
        raise ValueError(f"{path} has no function {function!r}")
    return reward  # type: ignore[no-any-return]
