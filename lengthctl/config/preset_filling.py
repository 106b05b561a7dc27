"""What a recipe leaves open, filled from its presets, and what became of each of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from lengthctl.config.presets import OfLimit, find_preset, preset_names
from lengthctl.trl_fields import trainer_defaults

__all__ = ["fill_from_presets", "preset_notes"]

_Values = Mapping[str, Any]


def fill_from_presets(recipe: dict[str, Any]) -> None:
    """Fill in place what a recipe that reinforces leaves open by its `train.preset`; what it says itself stays.

    Names that do not exist, and sections that are no mappings, are left to the check of the recipe.
    """
    train = recipe.get("train")
    if not isinstance(train, dict) or train.get("method", "grpo") != "grpo":
        return
    presets = [find_preset(name) for name in _named(train.get("preset")) if name in preset_names()]
    is_estimated, has_own = False, _has_own_estimator(train)
    for given in reversed(presets):  # the last one fills first
        preset = given.without_estimator() if is_estimated else given
        is_estimated = is_estimated or given.estimates
        _fill(train, preset.train)
        values = {k: v for k, v in preset.trainer.items() if not (has_own and k == "scale_rewards")}
        if values:
            options = recipe.setdefault("trainer", {})
            if isinstance(options, dict):
                _fill(options, values)
        if preset.rewards and not recipe.get("rewards"):
            recipe["rewards"] = [_item(item, recipe) for item in preset.rewards]


def _has_own_estimator(train: _Values) -> bool:
    """The recipe itself says how rewards become advantages: a preset's `scale_rewards` would have no effect."""
    rule = train.get("advantage")
    own = isinstance(rule, dict) and any(rule.get(key) is not None for key in ("baseline", "scale", "keep"))
    return own or train.get("survivor_decay") is not None


def preset_notes(recipe: Mapping[str, Any]) -> Iterator[str]:
    """A line for each preset of a whole recipe, in its order: source, what differs, and which of its keys the recipe,
    or a later preset, has overruled."""
    for name in _named(recipe.get("train", {}).get("preset")):
        preset = find_preset(name)
        given = {f"{s}.{k}": v for s in ("train", "trainer") for k, v in _flat(getattr(preset, s))}
        found = {f"{s}.{k}": v for s in ("train", "trainer") for k, v in _flat(recipe.get(s, {}))}
        lost = [
            f"{key} = {found[key]}, not {value}" if found.get(key) is not None else f"{key} is left out"
            for key, value in given.items()
            if found.get(key) != value
        ]
        names = [item["name"] for item in preset.rewards]
        if names and not set(names) <= {item["name"] for item in recipe.get("rewards", [])}:
            lost.append(f"rewards without {', '.join(names)}")
        differs = f" Differs from the paper: {preset.differs}." if preset.differs else ""
        yield f"preset {name}: {preset.source}.{differs}" + (f" Overruled: {'; '.join(lost)}." if lost else "")


def _item(item: _Values, recipe: _Values) -> dict[str, Any]:
    """An item of `rewards`, its numbers of tokens filled in; the reward's own hold where the limit is no number."""
    options = recipe.get("trainer")
    limit = {**trainer_defaults("grpo"), **(options if isinstance(options, dict) else {})}["max_completion_length"]
    filled = copy.deepcopy(dict(item))
    for key, value in filled.get("args", {}).copy().items():
        if isinstance(value, OfLimit):
            del filled["args"][key]
            if isinstance(limit, int):
                filled["args"][key] = max(1, round(value.share * limit))
    return filled


def _named(preset: Any) -> list[str]:
    names = [preset] if isinstance(preset, str) else preset
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _fill(section: dict[str, Any], values: _Values) -> None:
    for key, value in values.items():
        if not isinstance(value, Mapping):
            section.setdefault(key, value)
        elif isinstance(inner := section.setdefault(key, {}), dict):
            _fill(inner, value)


def _flat(values: _Values) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", found) for inner, found in _flat(value))
        else:
            yield key, value
