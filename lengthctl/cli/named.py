"""What the words of a command line name: recipes, config files, run folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.errors import ConfigError, Problem, RunFolderError

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["OF_TRAINING", "find_recipe", "load_named", "load_run", "model_overrides", "recipes"]


def load_named(name: str, overrides: list[str] | None) -> Config:
    """The config of a recipe's name or a YAML file, overridden."""
    from lengthctl.config import load_config

    return load_config(find_recipe(name), overrides or [])


def load_run(run: Path, overrides: list[str] | None) -> Config:
    """The config that a run folder was started with, overridden."""
    from lengthctl.config import load_config
    from lengthctl.rundir import RESOLVED_CONFIG

    path = run / RESOLVED_CONFIG
    if not path.is_file():
        raise RunFolderError(f"{run} holds no run", "`lengthctl ls` lists them")
    return load_config(path, overrides or [])


OF_TRAINING = ("model.chat_template=null", "model.adapter=null", "model.lora=null", "rollout.reward_stop=off")
"""Overrides that take out of a recipe what only its training needs."""


def model_overrides(model: str, endpoint: str | None, key_env: str | None) -> list[str]:
    """Overrides that make a config's model this one: a run folder's, a folder, a hub id, or a model of an endpoint."""
    quoted = json.dumps(model, ensure_ascii=False)  # the value is read as YAML
    if endpoint is not None:
        section = {"base_url": endpoint, "model": model, **({"api_key_env": key_env} if key_env else {})}
        return ["rollout.backend=endpoint", f"rollout.endpoint={json.dumps(section)}"]
    trained = Path(model) / "model"
    if trained.is_dir():
        quoted = json.dumps(str(trained), ensure_ascii=False)
    return [f"model.name={quoted}"]


def find_recipe(name: str) -> Path:
    """File of a recipe's name; a YAML file is itself.

    Raises:
        ConfigError: there is none; the nearest is named.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = {p.stem: p for p in recipes()}
    if name not in known:
        from lengthctl.registry import did_you_mean

        raise ConfigError(name, [Problem("recipe", f"there is no recipe {name!r}{did_you_mean(name, known)}")])
    return known[name]


def recipes() -> list[Path]:
    """Files of the recipes that are shipped."""
    here = Path(__file__).parents[1]
    folder = next((f for f in (here / "configs", here.parent / "configs") if f.is_dir()), here)
    return sorted(folder.glob("*.yaml"))
