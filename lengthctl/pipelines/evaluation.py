"""Sample a model on prompts and measure how its lengths keep their targets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.errors import DataError
from lengthctl.evaluate.metrics import summarise
from lengthctl.models import LoadedTokenizer, context_length, load_tokenizer
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import LengthPrompt, build_length_prompts
from lengthctl.records import SCHEMA, Completion, FinishReason
from lengthctl.rollout.backend import Backend, Request, Sampling, request_seed
from lengthctl.rollout.pool import RolloutPool
from lengthctl.rundir import write_atomic, write_json
from lengthctl.scoring import Scored, score_text

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["Sample", "completion_limit", "context_tokens", "evaluation_prompts", "run_evaluation", "sample_prompts"]

_SAMPLE_SEED = 20_260_101
"""Draws the wording of each held-out prompt: the same for every run, whatever its seed."""


def completion_limit(config: Config) -> int:
    """Limit of evaluation: `evaluate.max_tokens`, else the limit of training."""
    from lengthctl.train.settings import completion_limit as training_limit

    return config.evaluate.max_tokens or training_limit(config)


def evaluation_prompts(config: Config) -> list[LengthPrompt]:
    """Held-out prompts, each with every target; the same set whatever the seed of the run."""
    seeds = load_seed_prompts(config.prompts, "eval")
    if config.evaluate.limit is not None:
        seeds = seeds[: config.evaluate.limit]
    return build_length_prompts(
        seeds, config.prompts.resolved_targets, wordings=config.prompts.wordings, seed=_SAMPLE_SEED
    )


def with_system_prompt(messages: Sequence[Any], system_prompt: str | None) -> list[dict[str, str]]:
    """Messages with the configured system prompt in front, unless they bring their own."""
    plain = [dict(m) for m in messages]
    if system_prompt is None or (plain and plain[0]["role"] == "system"):
        return plain
    return [{"role": "system", "content": system_prompt}, *plain]


def context_tokens(config: Config, tokenizer: LoadedTokenizer, prompts: Sequence[LengthPrompt], limit: int) -> int:
    """Longest prompt in tokens plus the limit.

    Raises:
        DataError: no prompts, or one that with the limit is longer than the model's context; it is named.
    """
    if not prompts:
        raise DataError("there are no prompts to evaluate", "Check prompts.source and evaluate.limit")
    lengths = [len(tokenizer.prompt_ids(with_system_prompt(p.messages, config.model.system_prompt))) for p in prompts]
    longest = max(range(len(prompts)), key=lengths.__getitem__)
    room = context_length(config.model)
    if room is not None and lengths[longest] + limit > room:
        start = prompts[longest].messages[-1]["content"][:60]
        raise DataError(
            f"the prompt {start!r} has {lengths[longest]} tokens, which with the limit of {limit} exceeds the model's "
            f"context of {room}",
            "Shorten or remove it, or lower trainer.max_completion_length or evaluate.max_tokens",
        )
    return lengths[longest] + limit


@dataclass(frozen=True)
class Sample:
    """One completion of a prompt, measured; read back from a file it has its measures only."""

    prompt: LengthPrompt
    scored: Scored
    completion: Completion | None = None


def sample_prompts(
    config: Config,
    backend: Backend,
    tokenizer: LoadedTokenizer | None,
    prompts: Sequence[LengthPrompt],
    narrator: Narrator,
    stage: str,
) -> list[Sample]:
    """`evaluate.samples` completions of every prompt, measured; failed ones are left out and counted in a line."""
    sampling = Sampling(
        temperature=config.evaluate.temperature, top_p=config.evaluate.top_p, max_tokens=completion_limit(config)
    )
    reproducible = config.rollout.reproducible
    requests, owners = [], []
    for prompt in prompts:
        messages = tuple(with_system_prompt(prompt.messages, config.model.system_prompt))
        ids = tokenizer.prompt_ids(list(messages)) if tokenizer is not None else ()
        for sample in range(config.evaluate.samples):
            name = f"{prompt.id}#{sample}"
            drawn = replace(sampling, seed=request_seed(config.run.seed, name)) if reproducible else sampling
            requests.append(Request(name, ids, drawn, messages, group=prompt.id, target=prompt.target))
            owners.append(prompt)
    with narrator.bar(len(requests), stage) as bar:
        count = 0

        def tick(completion: Completion) -> None:
            nonlocal count
            count += 1
            bar.update(count)

        completions = backend.generate(requests, tick)
    scored = [
        Sample(prompt, _score(prompt, completion, tokenizer), completion)
        for prompt, completion in zip(owners, completions, strict=True)
        if completion.finish is not FinishReason.ERROR
    ]
    if len(scored) < len(requests):
        narrator.say(f"{len(requests) - len(scored)} of {len(requests)} completions failed and are left out")
    if not scored:
        raise DataError("every completion failed", "See the messages above")
    return scored


def _score(prompt: LengthPrompt, completion: Completion, tokenizer: LoadedTokenizer | None) -> Scored:
    return score_text(
        completion.text,
        prompt.target,
        prompt_id=prompt.seed_id,
        tokens=len(completion.token_ids),
        is_truncated=completion.is_truncated,
        tokenizer=None if tokenizer is None else tokenizer.tokenizer,
    )


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """One record a sample: its prompt, its measures, its text, and what the backend told of it."""
    seen: Counter[str] = Counter()
    lines = []
    for sample in samples:
        row = {"schema": SCHEMA, **sample.scored.to_row(), "messages": [dict(m) for m in sample.prompt.messages]}
        row["sample"] = seen[sample.prompt.id]
        seen[sample.prompt.id] += 1
        if sample.completion is not None:
            row |= sample.completion.origin()
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_atomic(path, "".join(lines))


def run_evaluation(config: Config, narrator: Narrator, *, out: Path | None = None) -> dict[str, Any]:
    """Evaluate the configured model or endpoint on its held-out prompts.

    Args:
        config: `model`, `prompts`, `rollout` and `evaluate` are read.
        out: a folder for `summary.json`, `samples/after.jsonl` and, through the caller, the report.

    Returns:
        `{"schema": 1, "after": {"overall", "by_target"}, ...}`.
    """
    from lengthctl.rollout.cluster import disconnect
    from lengthctl.rollout.open import open_backend

    prompts = evaluation_prompts(config)
    needs_tokenizer = config.rollout.backend == "vllm"
    tokenizer = load_tokenizer(config.model) if needs_tokenizer else None
    context = context_tokens(config, tokenizer, prompts, completion_limit(config)) if tokenizer is not None else 0
    backend: Backend | None = None
    try:
        with narrator.stage("engine"):
            backend = open_backend(config, tokenizer, context_tokens=context, say=narrator.say)
            if config.model.adapter is not None and isinstance(backend, RolloutPool):
                send_adapter(config, backend)
        with narrator.stage("evaluate"):
            scored = sample_prompts(config, backend, tokenizer, prompts, narrator, "evaluate")
    finally:
        if backend is not None:
            backend.close()
        disconnect()
    summary = {
        "schema": 1,
        "after": summarise([sample.scored for sample in scored], config.run.seed),
        "minutes": {name: seconds / 60 for name, seconds in narrator.stages.items()},
        "seed": config.run.seed,
        "config": config.model_dump(mode="json"),
    }
    if out is not None:
        write_samples(out / "samples" / "after.jsonl", scored)
        write_json(out / "summary.json", summary)
    return summary


def send_adapter(config: Config, pool: RolloutPool) -> None:
    """An adapter reaches the engines as merged weights: the same path as training's sync."""
    import torch

    from lengthctl.models import load_policy
    from lengthctl.rollout.weights import checkpoint_state

    model = load_policy(config.model.model_copy(update={"lora": None}))
    pool.sync_weights(checkpoint_state(model, torch.bfloat16))


def untouched(config: Config) -> Config:
    """The same model with its own template and no system prompt of ours: how it comes out of the box."""
    return replace_model(config, chat_template=None, system_prompt=None)


def replace_model(config: Config, **changes: Any) -> Config:
    """A config with other `model` settings."""
    return config.model_copy(update={"model": config.model.model_copy(update=changes)})
