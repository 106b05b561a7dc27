"""What the words of a command line name: recipes, config files, run folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lengthctl.errors import ConfigError, Problem, RunFolderError

if TYPE_CHECKING:
    from lengthctl.config import Config

__all__ = ["find_recipe", "load_named", "load_run", "recipes"]


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
