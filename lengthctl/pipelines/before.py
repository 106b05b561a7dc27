"""What a run compares itself with: the untouched model on what is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.metrics import summarise
from lengthctl.models import load_tokenizer
from lengthctl.pipelines.evaluation import untouched
from lengthctl.pipelines.held_out import HeldOut, Measured, answers_file, keep_as, measure, samples_file
from lengthctl.pipelines.problem_bench import read_answers
from lengthctl.pipelines.problem_results import summarise_answers
from lengthctl.pipelines.sampling import Sample, asking_control
from lengthctl.prompts import LengthPrompt
from lengthctl.records import read_records
from lengthctl.scoring import Scored

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator
    from lengthctl.rollout.pool import RolloutPool
    from lengthctl.rundir import RunFolder

__all__ = ["Before", "evaluate_before", "is_measured"]


@dataclass(frozen=True)
class Before:
    """The untouched model."""

    best: Measured
    """With the better template: what the trained model is compared with."""
    start: Measured
    """With the template of training: where the policy begins."""
    variants: dict[str, Any]
    """By template, its summary; `chosen` names the better one."""


def is_measured(run: RunFolder, held_out: HeldOut) -> bool:
    """The untouched model was measured before the run was interrupted."""
    needed = [samples_file(run, "before")] if held_out.prompts else []
    needed += [answers_file(run, "before")] if held_out.problems else []
    return all(path.is_file() for path in needed)


def evaluate_before(
    config: Config, run: RunFolder, pool: RolloutPool | None, held_out: HeldOut, narrator: Narrator
) -> Before:
    """The untouched model with its own template and, when that differs, with the template of training; the better one
    (in keeping lengths, else in solving problems) is `before`. What came is kept, so a resumed run does not draw it
    again.

    Args:
        config: of the run.
        run: where it is kept.
        pool: engines of the model; None where `is_measured` says that nothing is owed.
        held_out: what is asked.
        narrator: shows progress.
    """
    variants = {"model_template": untouched(config)}
    if (config.model.chat_template, config.model.system_prompt) != (None, None):
        variants["run_template"] = config
    results = {name: _variant(variant, run, pool, held_out, narrator, name) for name, variant in variants.items()}
    summaries = {name: _summary(found, config.run.seed) for name, found in results.items()}
    best = min(summaries, key=lambda name: _fault(summaries[name]))
    keep_as(run, f"before.{best}", "before")
    return Before(results[best], results[list(variants)[-1]], {"chosen": best, **summaries})


def _variant(
    config: Config, run: RunFolder, pool: RolloutPool | None, held_out: HeldOut, narrator: Narrator, name: str
) -> Measured:
    moment = f"before.{name}"
    if pool is None:
        prompts, problems = held_out.prompts, held_out.problems
        return Measured(
            _read_samples(samples_file(run, moment), prompts) if prompts else [],
            read_answers(config, problems, held_out.asks, answers_file(run, moment)) if problems else [],
        )
    tokenizer, title, spec = load_tokenizer(config.model), f"before ({name})", asking_control(config)
    return measure(config, run, pool, tokenizer, held_out, narrator, title, spec=spec, moment=moment)


def _summary(found: Measured, seed: int) -> dict[str, Any]:
    lengths = summarise([sample.scored for sample in found.samples], seed) if found.samples else {}
    return {**lengths, **({"problems": summarise_answers(found.answers, seed)} if found.answers else {})}


def _fault(summary: Mapping[str, Any]) -> float:
    """What the better variant has less of: deviation, or where no length is asked, unsolved problems."""
    if "overall" in summary:
        return float(summary["overall"]["mean_abs_relative_deviation"]["value"])
    return -float(summary["problems"]["overall"]["accuracy"]["value"])


def _read_samples(path: Path, prompts: Sequence[LengthPrompt]) -> list[Sample]:
    by_key = {(p.seed_id, p.target.label): p for p in prompts}
    rows: list[Sample] = []
    for _, record in read_records(path):
        scored = Scored.parse(record)
        rows.append(Sample(by_key[(scored.prompt_id, scored.target.label)], scored, record))
    return rows
