"""The models of Self-Lengthen on this machine or behind an endpoint: answered by engines, tuned by our own `train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.config import Config
from lengthctl.errors import ConfigError, Problem
from lengthctl.progress import Narrator
from lengthctl.rollout.backend import Ability
from lengthctl.rundir import RESOLVED_CONFIG, RunFolder
from lengthctl.train.ranks import world_size

if TYPE_CHECKING:
    from lengthctl.pipelines.document_room import Room
    from lengthctl.rollout.backend import Sampling

__all__ = ["LocalModels", "check_recipe"]

_OF_TRAINING = {"chat_template": None, "adapter": None, "lora": None}


def check_recipe(recipe: Config) -> None:
    """A recipe can train the models of the loop.

    Raises:
        ConfigError: it tunes by another method, answers by no engines of its own, or brings tokens that prompts lack;
            or several trainer processes were launched.
    """
    problems = []
    if recipe.train.method != "sft":
        problems.append(Problem("train.method", f"= {recipe.train.method}: Self-Lengthen learns from texts; use sft"))
    if recipe.rollout.backend != "vllm":
        problems.append(Problem("rollout.backend", f"= {recipe.rollout.backend}: what was trained needs vllm"))
    if recipe.data is not None and (recipe.data.mlt is not None or recipe.data.form != "completions"):
        problems.append(Problem("data", "rows are prompts and completions without meta length tokens"))
    if world_size() > 1:
        problems.append(Problem("processes", f"= {world_size()}: the loop runs in one process, its trainings too"))
    if problems:
        raise ConfigError("self-lengthen", problems, "`self_lengthen` is a recipe that fits")


@dataclass(frozen=True)
class LocalModels:
    """See `self_lengthen_stages.Models`."""

    recipe: Config
    """A checked config with `train.method` sft: how models are tuned, and the engines that answer."""
    sampling: Sampling
    """Of all answers."""
    narrator: Narrator
    context_tokens: int | None = None
    """Longest conversation of a call; None: the model's, up to what `opened_room` takes."""

    @contextmanager
    def opened(self, model: str, folder: Path) -> Iterator[Room]:
        """Engines for a model."""
        from lengthctl.pipelines.room_setup import opened_room

        config = self._changed({"model": {"name": model, **_OF_TRAINING}})
        needs = frozenset({Ability.PREFILL})
        with opened_room(
            config,
            folder,
            sampling=self.sampling,
            narrator=self.narrator,
            needs=needs,
            context_tokens=self.context_tokens,
        ) as room:
            yield room

    def trained(self, model: str, data: Path, folder: Path) -> str:
        """A run of `train` in `folder`, or the rest of one."""
        config = self._changed(
            {
                "model": {"name": model},
                "data": {"source": str(data)},
                "run": {"dir": str(folder.parent), "name": folder.name},
            }
        )
        begun = (folder / RESOLVED_CONFIG).is_file()
        run = RunFolder.resume(folder, config) if begun else RunFolder.create(config, folder.name)
        try:
            if not run.is_finished:
                from lengthctl.pipelines.supervised import run_supervised

                run_supervised(config, run, Narrator(run.stages))
        finally:
            run.close()
        return str(run.model_dir)

    def _changed(self, sections: dict[str, dict[str, Any]]) -> Config:
        """The recipe with some keys of its sections changed."""
        whole = self.recipe.model_dump(mode="json", by_alias=True)
        for name, keys in sections.items():
            whole[name] = {**(whole[name] or {}), **keys}
        return Config.model_validate(whole)
