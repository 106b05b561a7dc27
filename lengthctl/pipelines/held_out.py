"""What a run is measured on before and after: prompts with a length, problems with an answer, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Task
from lengthctl.models import LoadedTokenizer
from lengthctl.pipelines.problem_bench import Answered, answer_problems, problem_tasks
from lengthctl.pipelines.problem_prompts import PLAIN, Ask, evaluation_problems, problem_asks
from lengthctl.pipelines.sampling import Sample, prompt_tasks, sample_prompts
from lengthctl.pipelines.suites import evaluation_prompts
from lengthctl.problem_sources import Problem
from lengthctl.prompts import LengthPrompt
from lengthctl.rollout.backend import Backend
from lengthctl.rundir import write_atomic

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator
    from lengthctl.rundir import RunFolder

__all__ = [
    "HeldOut",
    "Measured",
    "answers_file",
    "held_out_tasks",
    "keep_as",
    "length_prompts",
    "load_held_out",
    "measure",
    "measure_after",
    "samples_file",
]


@dataclass(frozen=True)
class HeldOut:
    """What is asked."""

    prompts: Sequence[LengthPrompt] = ()
    problems: Sequence[Problem] = ()
    asks: Sequence[Ask] = (PLAIN,)
    """The ways in which each problem is put."""


@dataclass(frozen=True)
class Measured:
    """What came."""

    samples: Sequence[Sample] = field(default_factory=list)
    answers: Sequence[Answered] = field(default_factory=list)


def length_prompts(config: Config, problems: Sequence[Problem]) -> list[LengthPrompt]:
    """Held-out prompts with their lengths; none where only problems are asked.

    Raises:
        DataError: the source of the prompts cannot be used, or holds none.
    """
    if problems and not config.prompts.targets and config.evaluate.suite == "prompts":
        return []
    return evaluation_prompts(config)


def load_held_out(config: Config) -> HeldOut:
    """By the recipe of a run; its problems are put as it trains them.

    Raises:
        DataError: a source cannot be used, or holds nothing.
    """
    problems = evaluation_problems(config)
    return HeldOut(length_prompts(config, problems), problems, problem_asks(config))


def held_out_tasks(config: Config, held_out: HeldOut) -> list[Task]:
    """One task for each thing that is asked."""
    return [
        *prompt_tasks(config, held_out.prompts, samples=1),
        *problem_tasks(config, held_out.problems, held_out.asks),
    ]


def measure(
    config: Config,
    run: RunFolder,
    backend: Backend,
    tokenizer: LoadedTokenizer,
    held_out: HeldOut,
    narrator: Narrator,
    title: str,
    *,
    spec: str,
    moment: str,
    source: Sequence[Any] | None = None,
) -> Measured:
    """Everything that is held out, under a control. Each text is kept as it comes, and not drawn again.

    Args:
        config: `evaluate`, `model`, `rollout`, `prompts.wordings` and `run.seed` are read.
        run: where they are kept.
        backend: generates.
        tokenizer: of the model.
        held_out: what is asked.
        narrator: shows progress.
        title: what the progress line says.
        spec: how lengths are controlled, as `parse_control` takes it.
        moment: of the run, by which its files are named.
        source: what tells the model from others, where its files do not.

    Raises:
        ConfigError: the backend cannot carry out the control.
        DataError: everything failed.
        RunFolderError: texts of the moment are there that were drawn with other settings.
    """
    samples: list[Sample] = []
    if held_out.prompts:
        file, prompts = samples_file(run, moment), held_out.prompts
        samples = sample_prompts(
            config, backend, tokenizer, prompts, narrator, title, spec=spec, journal=file, source=source
        )
    answers: list[Answered] = []
    if held_out.problems:
        answers = answer_problems(
            config,
            backend,
            tokenizer,
            held_out.problems,
            parse_control(spec),
            spec,
            narrator,
            asks=held_out.asks,
            journal=answers_file(run, moment),
            source=source,
        )
    return Measured(samples, answers)


def measure_after(
    config: Config,
    run: RunFolder,
    backend: Backend,
    tokenizer: LoadedTokenizer,
    held_out: HeldOut,
    narrator: Narrator,
    *,
    spec: str,
    step: int,
) -> Measured:
    """The trained model, as `after` in the run folder; `step` is the last one, so that a run which goes on for more
    steps is measured anew, and one that was interrupted here is not."""
    moment, source = f"after.{step}", ["step", step]  # a resumed run exports its model anew
    found = measure(
        config, run, backend, tokenizer, held_out, narrator, "after", spec=spec, moment=moment, source=source
    )
    keep_as(run, moment, "after")
    return found


def samples_file(run: RunFolder, moment: str) -> Path:
    """The texts for prompts with a length at a moment of the run."""
    return run.path / "samples" / f"{moment}.jsonl"


def answers_file(run: RunFolder, moment: str) -> Path:
    """The answers to problems at a moment of the run."""
    return run.path / "samples" / f"problems.{moment}.jsonl"


def keep_as(run: RunFolder, moment: str, name: str) -> None:
    """What was drawn at a moment, under the name by which it is looked for."""
    for file in (samples_file, answers_file):
        if file(run, moment).is_file():
            write_atomic(file(run, name), file(run, moment).read_text(encoding="utf-8"))
