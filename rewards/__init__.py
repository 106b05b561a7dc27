"""Rewards: one small file each, pure Python, usable as they are in a plain TRL `reward_funcs`.

A reward is a frozen dataclass, registered by name, called with `completions` and the dataset's columns (`target`,
`is_truncated`); it returns one number in `[lowest, highest]` a completion, or None where it does not apply.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from lengthctl.registry import names

__all__ = ["load_rewards"]


def load_rewards() -> list[str]:
    """Import every module of this package once, and return the registered names."""
    _import_all()
    return names("reward")


@functools.cache
def _import_all() -> None:
    """The folder is listed once: rewards are built by name often."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
