"""Sample models under controls on the same prompts, and measure how their lengths keep their targets."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.decode.build import parse_control
from lengthctl.decode.control import Control
from lengthctl.decode.run import check_abilities, check_targets
from lengthctl.evaluate.environment import environment
from lengthctl.evaluate.length_table import write_lengths
from lengthctl.evaluate.own_tokens import own_token_summary
from lengthctl.models import LoadedTokenizer, load_tokenizer
from lengthctl.pipelines.drawing import conversation_tokens
from lengthctl.pipelines.held_out import HeldOut, Measured, held_out_tasks, length_prompts
from lengthctl.pipelines.journal import digest
from lengthctl.pipelines.length_history import predictor_of
from lengthctl.pipelines.likelihoods import add_likelihoods
from lengthctl.pipelines.problem_bench import Answered, answer_problems
from lengthctl.pipelines.problem_prompts import evaluation_problems
from lengthctl.pipelines.problem_results import problem_summary
from lengthctl.pipelines.run_summary import compare_sides, side_summary
from lengthctl.pipelines.sampling import Sample, completion_limit, sample_prompts
from lengthctl.pipelines.suites import judge_subjects, suite_change, suite_facts
from lengthctl.rollout.backend import Backend
from lengthctl.rollout.pool import RolloutPool
from lengthctl.rundir import write_json

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["Subject", "run_evaluation", "seeded", "send_adapter", "untouched"]


@dataclass
class _Found:
    """What came, by side."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    answers: dict[str, list[Answered]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    own_tokens: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def of(self, name: str) -> Measured:
        """All of a side."""
        return Measured(self.samples[name], self.answers.get(name, []))


@dataclass(frozen=True)
class _Setting:
    """What all sides share."""

    held_out: HeldOut
    controls: dict[str, Control]
    narrator: Narrator
    out: Path | None


@dataclass(frozen=True)
class Subject:
    """One side of a comparison: a model under a control."""

    name: str
    config: Config
    control: str


def run_evaluation(subjects: Sequence[Subject], narrator: Narrator, *, out: Path | None = None) -> dict[str, Any]:
    """Evaluate every subject on the first one's held-out prompts and problems, and compare the others with the first.
    Problems are asked as they are: a level is the control's.

    With `out` an interrupted evaluation goes on where it was: texts that stand there are not drawn again.

    Args:
        subjects: with distinct names; `model`, `prompts`, `rollout` and `evaluate` of their configs are read.
        narrator: shows progress.
        out: a folder for `summary.json`, `samples/` and, through the caller, the report.

    Returns:
        `{"schema": 1, "subjects": {name: {"overall", "by_target", ...}}, "differences": {name: ...}, ...}`.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used.
        RunFolderError: `out` holds another evaluation.
    """
    from lengthctl.rollout.cluster import disconnect

    subjects = [replace(subject, config=seeded(subject.config)) for subject in subjects]
    first = subjects[0].config
    problems = evaluation_problems(first)
    held_out = HeldOut(length_prompts(first, problems), problems)
    controls = {subject.control: parse_control(subject.control) for subject in subjects}
    for spec, control in controls.items():
        check_targets(spec, control, [prompt.target for prompt in held_out.prompts] or [None])
    found, setting = _Found(), _Setting(held_out, controls, narrator, out)
    try:
        for group in _by_model(subjects):
            _sample_group(group, setting, found)
        judged = {}
        if first.judge is not None and held_out.prompts:
            with narrator.stage("judge"):
                judged = judge_subjects(first, found.samples, narrator)
    finally:
        disconnect()
    summary = _summary(subjects, found, narrator)
    for name, facts in judged.items():
        summary["subjects"][name].update(facts)
    for name, own in found.own_tokens.items():
        if own is not None:
            summary["subjects"][name]["own_token"] = own
    if first.evaluate.likelihood and held_out.prompts:
        with narrator.stage("likelihood"):
            files = {} if out is None else {s.name: out / _likelihood_file(s.name) for s in subjects}
            add_likelihoods(summary, first, found.samples, narrator, files=files)
    if out is not None:
        for subject in subjects:
            _write_lengths(out / _lengths_file(subject.name), subject, found.samples[subject.name])
        write_json(out / "summary.json", summary)
    return summary


def _by_model(subjects: Sequence[Subject]) -> list[list[Subject]]:
    """Subjects of one model share its engines."""
    groups: list[list[Subject]] = []
    for subject in subjects:
        if groups and groups[-1][0].config == subject.config:
            groups[-1].append(subject)
        else:
            groups.append([subject])
    return groups


def _sample_group(group: Sequence[Subject], setting: _Setting, found: _Found) -> None:
    from lengthctl.rollout.open import open_backend

    config, say = group[0].config, setting.narrator.say
    tokenizer = load_tokenizer(config.model) if config.rollout.backend == "vllm" else None
    context = 0
    if tokenizer is not None:
        used = [setting.controls[subject.control] for subject in group]
        asked = held_out_tasks(config, setting.held_out)
        context = conversation_tokens(config.model, tokenizer, asked, completion_limit(config), used)
    with setting.narrator.stage("engine"):
        predictor = predictor_of(config, by_group=True)
        backend = open_backend(config, tokenizer, context_tokens=context, say=say, predictor=predictor)
    try:
        if config.model.adapter is not None and isinstance(backend, RolloutPool):
            send_adapter(config, backend)
        for subject in group:
            check_abilities(subject.control, setting.controls[subject.control], backend)
        for subject in group:
            _sample_subject(subject, setting, backend, tokenizer, found)
    finally:
        backend.close()


def _sample_subject(
    subject: Subject, setting: _Setting, backend: Backend, tokenizer: LoadedTokenizer | None, found: _Found
) -> None:
    name, spec, out = subject.name, subject.control, setting.out
    held_out, narrator, control = setting.held_out, setting.narrator, setting.controls[spec]
    found.samples[name] = []
    if held_out.prompts:
        journal = None if out is None else out / _samples_file(name)
        is_whole = journal is None or not journal.exists()
        started = time.monotonic()
        with narrator.stage("evaluate"):
            found.samples[name] = sample_prompts(
                subject.config, backend, tokenizer, held_out.prompts, narrator, name, spec=spec, journal=journal
            )
        if tokenizer is not None and tokenizer.mlt is not None:
            rows = [sample.row for sample in found.samples[name]]
            table, seed = tokenizer.mlt.table, subject.config.run.seed
            found.own_tokens[name] = own_token_summary(rows, table, seed, tokenizer.tokenizer)
        if is_whole:  # of one that was interrupted only the rest is known
            found.seconds[name] = time.monotonic() - started
    if held_out.problems and control.refuses(None) is None:
        path = None if out is None else out / "problems" / Path(_samples_file(name)).name
        with narrator.stage("problems"):
            found.answers[name] = answer_problems(
                subject.config, backend, tokenizer, held_out.problems, control, spec, narrator, journal=path
            )


def _samples_file(name: str) -> str:
    return f"samples/{_slug(name)}.jsonl"


def _lengths_file(name: str) -> str:
    return f"lengths/{_slug(name)}.parquet"


def _likelihood_file(name: str) -> str:
    return f"likelihood/{_slug(name)}.jsonl"


def _slug(name: str) -> str:
    """A file's name for a side, another for every other side."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[-80:]
    return slug if slug == name else f"{slug}-{digest(name)[:4]}"


def _write_lengths(path: Path, subject: Subject, samples: Sequence[Sample]) -> None:
    """Per prompt, how long its texts were in tokens; nothing where the backend does not tell tokens."""
    config = subject.config
    if all(sample.scored.tokens == 0 for sample in samples):
        return
    write_lengths(
        path,
        [sample.row for sample in samples],
        model=_model_name(config),
        temperature=config.evaluate.temperature,
        top_p=config.evaluate.top_p,
        limit=completion_limit(config),
    )


def _summary(subjects: Sequence[Subject], found: _Found, narrator: Narrator) -> dict[str, Any]:
    config = subjects[0].config
    seed = config.run.seed
    sides = {subject.name: found.of(subject.name) for subject in subjects}
    first, *others = (subject.name for subject in subjects)
    return {
        "schema": 1,
        "subjects": {
            subject.name: {
                "model": _model_name(subject.config),
                "control": subject.control,
                "samples": _samples_file(subject.name),
                "seconds": found.seconds.get(subject.name),
                **side_summary(sides[subject.name], seed),
                **(suite_facts(config, found.samples[subject.name]) if found.samples[subject.name] else {}),
            }
            for subject in subjects
        },
        "differences": {
            name: {
                **compare_sides(sides[first], sides[name], seed),
                **(suite_change(config, found.samples[first], found.samples[name]) if found.samples[name] else {}),
            }
            for name in others
        },
        **(problem_summary(found.answers, _methods(subjects), seed) if found.answers else {}),
        "minutes": {name: spent / 60 for name, spent in narrator.stages.items()},
        "seed": seed,
        "command": shlex.join(["lengthctl", *sys.argv[1:]]),
        "versions": environment()["versions"],
        "config": config.model_dump(mode="json"),
    }


def _methods(subjects: Sequence[Subject]) -> dict[str, str]:
    """By side, its control without the options; the model before it where there are several."""
    several = len({_model_name(subject.config) for subject in subjects}) > 1
    return {
        subject.name: (f"{_model_name(subject.config)} " if several else "") + subject.control.partition(":")[0]
        for subject in subjects
    }


def _model_name(config: Config) -> str:
    endpoint = config.rollout.endpoint
    return config.model.name if endpoint is None else f"{endpoint.model} at {endpoint.base_url}"


def send_adapter(config: Config, pool: RolloutPool) -> None:
    """An adapter reaches the engines as merged weights: the same path as training's sync."""
    import torch

    from lengthctl.models import load_policy
    from lengthctl.rollout.weights import checkpoint_state

    model = load_policy(config.model.model_copy(update={"lora": None}))
    pool.sync_weights(checkpoint_state(model, torch.bfloat16))


def seeded(config: Config) -> Config:
    """Every request of a local model with a seed of its own, so that sides are drawn alike."""
    if config.rollout.backend != "vllm":
        return config
    return config.model_copy(update={"rollout": config.rollout.model_copy(update={"reproducible": True})})


def untouched(config: Config) -> Config:
    """The same model with its own template and no system prompt of ours: how it comes out of the box."""
    changes = {"chat_template": None, "system_prompt": None}
    return config.model_copy(update={"model": config.model.model_copy(update=changes)})
