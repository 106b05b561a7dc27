"""What an evaluation asks, and what it makes of the answers beyond the measures that all have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lengthctl.errors import DataError
from lengthctl.evaluate.judge import Judge, JudgeItem, Judgement, judge_context, judge_source
from lengthctl.evaluate.longwrite import Written, compare_writing, judge_writing, summarise_writing
from lengthctl.evaluate.longwrite_prompts import load_longbench_write, load_longen
from lengthctl.evaluate.tlg import DRAW_SIZE, build_tlg_open, draw_tlg, tlg_summary
from lengthctl.judging import LONGBENCH_WRITE, LONGEN
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.sampling import Sample
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import LengthPrompt, SeedPrompt, build_length_prompts

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["evaluation_prompts", "judge_subjects", "suite_change", "suite_facts"]

_SAMPLE_SEED = 20_260_101
"""Draws the wording of each held-out prompt: the same for every run, whatever its seed."""


def evaluation_prompts(config: Config) -> list[LengthPrompt]:
    """Prompts of `evaluate.suite` with their targets; the same set whatever the seed of the run.

    Raises:
        DataError: the source of the prompts cannot be used, or holds none.
    """
    evaluate, limit = config.evaluate, config.evaluate.limit
    if evaluate.suite in ("longbench_write", "longen"):
        load = load_longbench_write if evaluate.suite == "longbench_write" else load_longen
        assert evaluate.data is not None
        found = load(evaluate.data)[:limit]
    elif evaluate.suite == "tlg":
        found = draw_tlg(load_seed_prompts(config.prompts, "eval"), size=limit or DRAW_SIZE)
    else:
        seeds = load_seed_prompts(config.prompts, "eval")[:limit]
        found = build_tlg_open(seeds) if evaluate.suite == "tlg_open" else _asked(config, seeds)
    if not found:
        raise DataError("there are no prompts to evaluate", "Check prompts.source and evaluate.limit")
    return found


def _asked(config: Config, seeds: Sequence[SeedPrompt]) -> list[LengthPrompt]:
    prompts = config.prompts
    return build_length_prompts(seeds, prompts.resolved_targets, wordings=prompts.wordings, seed=_SAMPLE_SEED)


def suite_facts(config: Config, samples: Sequence[Sample]) -> dict[str, Any]:
    """What the suite says of one side, for its entry in the summary."""
    if config.evaluate.suite in ("tlg", "tlg_open"):
        return {"tlg": tlg_summary([sample.scored for sample in samples], config.run.seed)}
    if config.evaluate.suite in ("longbench_write", "longen"):
        return {"writing": summarise_writing(_written(config, samples), config.run.seed)}
    return {}


def suite_change(config: Config, before: Sequence[Sample], after: Sequence[Sample]) -> dict[str, Any]:
    """What the suite says of the change from one side to another, for its entry among the differences."""
    if config.evaluate.suite in ("longbench_write", "longen"):
        return {"writing": compare_writing(_written(config, before), _written(config, after), config.run.seed)}
    return {}


def judge_subjects(config: Config, sides: Mapping[str, Sequence[Sample]], narrator: Narrator) -> dict[str, Any]:
    """Quality of every side's texts by `config.judge`: `{name: {"writing": ..., "judge": {measure: metric or count}}}`.

    Raises:
        EndpointError, EngineError, FailureBudgetError: the judge is gone; verdicts so far are in `judge.cache`.
    """
    from lengthctl.rollout.open import open_backend

    assert config.judge is not None
    rubric = LONGEN if config.evaluate.suite == "longen" else LONGBENCH_WRITE
    written = {name: _written(config, samples) for name, samples in sides.items()}
    source = judge_source(config)
    tokenizer: LoadedTokenizer | None = None
    context = None
    if source.rollout.backend == "vllm":
        tokenizer = load_tokenizer(source.model)
        items = [
            JudgeItem("", one.prompt.messages[-1]["content"], one.scored.text) for w in written.values() for one in w
        ]
        context = judge_context(config.judge, rubric, tokenizer, items)
    backend = open_backend(source, tokenizer, context_tokens=context or 0, say=narrator.say)
    try:
        judge = Judge(config.judge, backend, rubric, tokenizer=tokenizer, context_tokens=context, seed=config.run.seed)
        found = {}
        for name, texts in written.items():
            with narrator.bar(len(texts), f"judge {name}") as bar:
                graded, judgement = judge_writing(judge, texts, bar.update)
            narrator.say(f"{name}: {judgement.line}")
            found[name] = _judged(graded, judgement, config.run.seed)
    finally:
        backend.close()
    return found


def _written(config: Config, samples: Sequence[Sample]) -> list[Written]:
    """As long-writing benchmarks see them; prompts of other suites are grouped by their target."""
    if config.evaluate.suite in ("longbench_write", "longen"):
        return [Written(sample.prompt, sample.scored) for sample in samples]
    return [
        Written(replace(sample.prompt, columns={"kind": sample.prompt.target.label}), sample.scored)
        for sample in samples
    ]


def _judged(graded: Sequence[Written], judgement: Judgement, seed: int) -> dict[str, Any]:
    writing = summarise_writing(graded, seed, judgement)
    quality = {key: writing["overall"][key] for key in ("s_q", "s") if key in writing["overall"]}
    return {"writing": writing, "judge": {**quality, **writing["dimensions"], **judgement.counts}}
