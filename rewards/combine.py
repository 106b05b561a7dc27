"""Combination of rewards that cannot be won by padding or cutting off: sums, gates, floors and constraints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lengthctl.length import Encoder, Target, count_length
from lengthctl.rewards.build import Reward, build_reward
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.correctness import correct_column
from lengthctl.rewards.graded import is_evaluation
from lengthctl.rewards.multiplier import Multiplier
from lengthctl.rewards.part import Part, Role

__all__ = ["Combined", "Part", "Spec", "build_combined", "missing_columns", "part_name"]


class Spec(Protocol):
    """What a config says of one reward."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float: ...

    @property
    def role(self) -> Role: ...

    @property
    def args(self) -> Mapping[str, Any]: ...

    @property
    def label(self) -> str | None: ...

    @property
    def at_least(self) -> float | None: ...

    @property
    def multiplier_rate(self) -> float: ...

    @property
    def highest_multiplier(self) -> float: ...


@dataclass(frozen=True)
class Combined:
    """`least + (sum - least) * prod_j (1 - w_j + w_j g_j)` over gates j; `least` is the lowest sum possible. Ours.

    The sum has `w r` of each reward and floor, and `lambda (r - at_least)` of each constraint.

    - A gate only ever takes away: text that repeats itself or was cut off cannot buy its loss back by length.
    - A floor comes first (lexicographic): while it is below `at_least`, what comes behind it counts at its lowest.
      Floors stand in front of all others, in their order.
    - A constraint holds the mean of its reward at `at_least` (Lagrangian); lambda is its `Multiplier`, which learns
      from every call but those that the column `is_evaluation` marks.

    An empty text earns `least`; a completion that the column `is_failed` marks earns nothing (None). A part that does
    not apply (None) is left out. What is unbounded below has no lowest value: no gate takes from it, and no floor.
    Where TRL hands `log_metric`, the mean of every part is logged as `reward_parts/<name>`, lambda as
    `reward_parts/<name>_multiplier`; where it hands `log_extra`, each completion's own value under the same name.

    Args:
        parts: of every role.
        tokenizer: handed to the parts, for targets in tokens.
    """

    parts: tuple[Part, ...]
    tokenizer: Encoder | None = None
    __name__ = "reward"

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion; TRL's signature."""
        values = self.components(completions, **columns)
        failed = columns.get("is_failed") or [False] * len(completions)
        totals = [
            None if lost else self._total(text_of(c), {k: v[i] for k, v in values.items()})
            for i, (c, lost) in enumerate(zip(completions, failed, strict=True))
        ]
        self._log(values, columns.get("log_metric"), columns.get("log_extra"))
        if not is_evaluation(columns):
            self._learn(values, failed)
        return totals

    def components(self, completions: Completions, **columns: Any) -> dict[str, list[float | None]]:
        """Every part's own values, before weights and gates.

        Raises:
            RewardError: a part raised, or returned anything but one finite number or None a completion.
        """
        given = {"tokenizer": self.tokenizer, **columns}
        return {part.name: part.values(completions, given) for part in self.parts}

    def correct(self, completions: Completions, columns: Mapping[str, Any]) -> list[bool | None]:
        """Which completions are right: by the answers that the first part which checks some in its own way (`correct`)
        looks at, else by the marked ones. None for a row without a reference answer.

        Raises:
            ValueError: answers cannot be checked.
        """
        ways = (part.reward.correct for part in self.parts if hasattr(part.reward, "correct"))
        return list(next(ways, correct_column)(completions, columns))

    def is_spent(self, text: str, target: Target) -> bool:
        """Nothing that the text goes on with can lift its value from the least.

        Every reward must declare it (`is_spent`), with a weight that is not negative; gates only take away from what
        is above the least. What one declares not is taken to be open.
        """
        length = count_length(text, target.unit, self.tokenizer)
        summed = [part for part in self.parts if part.role != "gate"]
        return all(part.weight >= 0 and _is_spent(part.reward, length, target) for part in summed)

    def stateful(self) -> dict[str, Any]:
        """By name, what remembers over a run: rewards with `state_dict()` (JSON values) and `load_state_dict(state)`,
        as torch's modules have them, and the multipliers of constraints."""
        both = ("state_dict", "load_state_dict")
        rewards = {part.name: part.reward for part in self.parts if all(hasattr(part.reward, name) for name in both)}
        return {**rewards, **{f"{part.name}_multiplier": part.multiplier for part in self.parts if part.multiplier}}

    def _total(self, text: str, values: Mapping[str, float | None]) -> float | None:
        known = [(part, value) for part in self.parts if (value := values[part.name]) is not None]
        summed = sorted((pair for pair in known if pair[0].role != "gate"), key=lambda pair: pair[0].role != "floor")
        if not summed:
            return None
        least = total = 0.0
        is_kept = True
        for part, value in summed:
            share, worst = part.share(value), part.least_share()
            least += share if worst is None else worst
            total += share if worst is None or is_kept else worst
            is_kept &= part.role != "floor" or part.at_least is None or value >= part.at_least
        gate = 1.0
        for part, value in known:
            gate *= 1 - part.weight + part.weight * value if part.role == "gate" else 1.0
        return least + (total - least) * gate if text.strip() else least

    def _log(self, values: Mapping[str, Sequence[float | None]], log_metric: Any, log_extra: Any) -> None:
        for part in self.parts:
            if log_extra is not None:
                log_extra(f"reward_parts/{part.name}", list(values[part.name]))
            if log_metric is None:
                continue
            if known := [value for value in values[part.name] if value is not None]:
                log_metric(f"reward_parts/{part.name}", sum(known) / len(known))
            if part.multiplier is not None:
                log_metric(f"reward_parts/{part.name}_multiplier", part.multiplier.value)

    def _learn(self, values: Mapping[str, Sequence[float | None]], failed: Sequence[bool]) -> None:
        for part in self.parts:
            if part.multiplier is not None and part.at_least is not None:
                rows = zip(values[part.name], failed, strict=True)
                if known := [value for value, lost in rows if value is not None and not lost]:
                    part.multiplier.update(sum(known) / len(known), part.at_least)


def _is_spent(reward: Reward, length: int, target: Target) -> bool:
    declared = getattr(reward, "is_spent", None)
    return declared is not None and bool(declared(length, target))


def build_combined(specs: Sequence[Spec], tokenizer: Encoder | None = None) -> Combined:
    """From the `rewards:` list of a config; each part goes by its `part_name`."""
    return Combined(tuple(map(_part, specs)), tokenizer)


def _part(spec: Spec) -> Part:
    """A constraint's weight is where its multiplier begins."""
    learned = Multiplier(spec.weight, spec.multiplier_rate, spec.highest_multiplier)
    multiplier = learned if spec.role == "constraint" else None
    reward = build_reward(spec.name, spec.args)
    return Part(part_name(spec), reward, spec.weight, spec.role, spec.at_least, multiplier)


def part_name(spec: Spec) -> str:
    """Name of a reward in logs: its label, else its registered name, else the function of the user's file."""
    return spec.label or spec.name.rpartition(":")[2]


def missing_columns(specs: Sequence[Spec], available: Collection[str]) -> dict[str, list[str]]:
    """By `part_name`, the columns of the data that a reward needs (its `columns`) and that are not available."""
    needs = {part_name(spec): getattr(build_reward(spec.name, spec.args), "columns", ()) for spec in specs}
    missing = {name: [column for column in columns if column not in available] for name, columns in needs.items()}
    return {name: columns for name, columns in missing.items() if columns}
