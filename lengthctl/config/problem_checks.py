"""Problems in a recipe: what is held out, and faults that only several settings together show."""

from __future__ import annotations

from collections.abc import Iterator

from lengthctl.config.inputs import PromptsConfig
from lengthctl.config.sections import Config
from lengthctl.errors import Problem
from lengthctl.problem_sources import PROBLEM_SETS
from lengthctl.registry import did_you_mean
from lengthctl.rewards.combine import part_name

__all__ = ["BUILTIN", "held_out_set", "problem_faults"]

BUILTIN = "builtin"
"""The set that a program makes."""


def held_out_set(config: Config) -> str | None:
    """`evaluate.problems`; where a recipe trains on problems and names none, the held-out split of the same set.

    Raises:
        ValueError: that set has no other split than the one that is trained.
    """
    trained = config.prompts.problems
    if config.evaluate.problems is not None or trained is None:
        return config.evaluate.problems
    if trained == BUILTIN:
        return trained
    name, _, source = trained.partition("=")
    if source or name not in PROBLEM_SETS or PROBLEM_SETS[name].split == config.prompts.split:
        raise ValueError(f"is needed with prompts.problems = {trained}, of which no other split is known")
    return name


def problem_faults(config: Config) -> Iterator[Problem]:
    """Every fault."""
    prompts, method = config.prompts, config.train.method
    wanted = {"prompts.problems": prompts.problems, "evaluate.problems": config.evaluate.problems}
    for key, value in wanted.items():
        name = (value or BUILTIN).partition("=")[0]
        if name != BUILTIN and name not in PROBLEM_SETS:
            yield Problem(key, f"there is no problem set {name!r}{did_you_mean(name, [BUILTIN, *PROBLEM_SETS])}")
    try:
        held_out = held_out_set(config)
    except ValueError as error:
        yield Problem("evaluate.problems", str(error))
        return
    for spec in config.rewards:
        if spec.name == "surrogate" and spec.args.get("p") == "measured" and held_out is None:
            why = "= measured is read off held-out problems: set evaluate.problems, or give a number"
            yield Problem(f"rewards.{part_name(spec)}.args.p", why)
    if prompts.problems is not None and method != "grpo":
        yield Problem("prompts.problems", f"has no effect with train.method = {method}, whose texts come from `data`")
    if not prompts.targets:
        yield from _without_targets(config, held_out)
    if BUILTIN not in (prompts.problems, held_out):
        for key in ("problem_steps", "problem_digits"):
            if getattr(prompts, key) != PromptsConfig.model_fields[key].default:
                yield Problem(f"prompts.{key}", "has no effect without builtin problems")


def _without_targets(config: Config, held_out: str | None) -> Iterator[Problem]:
    if held_out is None and config.evaluate.suite == "prompts":
        yield Problem("prompts.targets", "names no length, and there are no problems: give one of the two")
    elif config.train.method != "grpo" and config.evaluate.max_tokens is None:
        yield Problem("evaluate.max_tokens", "is needed without prompts.targets, from which it would follow")
