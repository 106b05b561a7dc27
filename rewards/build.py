"""A reward by its name: one of ours, or a function or class in the user's own file."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lengthctl.registry import did_you_mean, lookup
from lengthctl.rewards import load_rewards
from lengthctl.rewards.arguments import check_arguments

__all__ = ["Reward", "build_reward", "reward_class"]

Reward = Callable[..., Sequence[float | None]]
"""TRL's signature: `completions` and dataset columns by keyword in, one number or None a completion out."""


def build_reward(name: str, args: Mapping[str, Any]) -> Reward:
    """A registered reward, or `path/file.py:function` of the user's own.

    Raises:
        ValueError: unknown name, unknown or wrong argument; the message holds the nearest valid one.
    """
    if ".py:" in name:
        return _load_user_reward(name, args)
    kind = reward_class(name)
    check_arguments(name, kind, args)
    built: Any = kind(**args)
    return built  # type: ignore[no-any-return]


def reward_class(name: str) -> type:
    """The dataclass registered under `name`.

    Raises:
        ValueError: there is none; the message holds the nearest one.
    """
    load_rewards()
    try:
        kind = lookup("reward", name)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error
    assert isinstance(kind, type)
    assert is_dataclass(kind)
    return kind


def _load_user_reward(name: str, args: Mapping[str, Any]) -> Reward:
    """A class is built with `args`, a function gets them with every call."""
    path, _, function = name.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist")
    module_name = f"lengthctl_user_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path} fails when it is imported ({type(error).__name__}: {error})") from error
    reward = getattr(module, function, None)
    if not callable(reward):
        raise ValueError(f"{path} has no function {function!r}{did_you_mean(function, _callables(module))}")
    if inspect.iscoroutinefunction(reward):
        raise ValueError(f"{function} of {path} is async; give a plain function")
    if not isinstance(reward, type):
        return functools.partial(reward, **args) if args else reward
    try:
        built: Any = reward(**args)
    except Exception as error:
        raise ValueError(f"{function} of {path} cannot be built ({type(error).__name__}: {error})") from error
    return built  # type: ignore[no-any-return]


def _callables(module: ModuleType) -> list[str]:
    return [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
