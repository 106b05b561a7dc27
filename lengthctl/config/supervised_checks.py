"""Faults of a recipe that learns from texts or pairs, which only several settings together show."""

from __future__ import annotations

from collections.abc import Iterator

from lengthctl.config.sections import Config, TrainConfig
from lengthctl.errors import Problem
from lengthctl.trl_fields import trainer_defaults

__all__ = ["longest_piece", "supervised_problems"]

_SHARED = {"method", "release_memory", "average_last"}
_BATCHES = {"batching", "batch_tokens", "curriculum", "micro_batch_tokens"}
_WEIGHTS = {"loss_weighting", "mlt_weight", "mlt_rate", "end_weight"}
_USED = {"sft": _SHARED | _BATCHES | _WEIGHTS | {"hyperfit"}, "dpo": _SHARED}


def supervised_problems(config: Config) -> Iterator[Problem]:
    """Every fault of a recipe with `train.method` sft or dpo."""
    method, train = config.train.method, config.train
    if config.data is None:
        yield Problem("data", f"is needed with train.method = {method}: data.source names the texts")
    if config.rewards:
        yield Problem("rewards", f"have no effect with train.method = {method}")
    if config.rollout.reward_stop != "off":
        yield Problem("rollout.reward_stop", f"has no effect with train.method = {method}")
    for key, field in TrainConfig.model_fields.items():
        if key not in _USED[method] and getattr(train, key) != field.default:
            yield Problem(f"train.{key}", f"has no effect with train.method = {method}")
    if train.average_last is not None and config.trainer.get("max_steps", -1) < 1:
        yield Problem("train.average_last", f"needs trainer.max_steps with train.method = {method}")
    yield from _sft(config) if method == "sft" else _dpo(config)


def _sft(config: Config) -> Iterator[Problem]:
    train, data = config.train, config.data
    if data is not None and data.form == "text" and data.mlt is not None:
        yield Problem("data.mlt", "has no effect with data.form = text, which has no completions")
    if data is not None and data.mlt_table is not None:
        for target in config.prompts.resolved_targets:
            try:
                data.mlt_table.token_for_target(target)
            except ValueError as error:
                yield Problem("prompts.targets", f"{target.label} {target.unit}: {error}")
    if data is not None and data.pieces and config.trainer.get("max_length", 1) is None:
        yield Problem("trainer.max_length", "is needed with data.pieces: no piece is longer")
    elif data is not None and data.pieces:
        longest = 2 ** longest_piece(config.trainer.get("max_length", trainer_defaults("sft")["max_length"]))
        if train.batch_tokens % longest:
            yield Problem(
                "train.batch_tokens", f"= {train.batch_tokens} is no multiple of the longest piece, {longest}"
            )
        if longest < 2**data.shortest_piece:
            yield Problem(
                "data.shortest_piece", f"= {data.shortest_piece}, and trainer.max_length holds {longest} tokens"
            )
    if data is not None and data.pieces and (data.form != "text" or train.batching != "buckets"):
        yield Problem("data.pieces", "needs data.form = text and train.batching = buckets")
    if train.curriculum != TrainConfig.model_fields["curriculum"].default and not (data is not None and data.pieces):
        yield Problem("train.curriculum", "has no effect without data.pieces")
    if train.batching != "buckets" and train.batch_tokens != TrainConfig.model_fields["batch_tokens"].default:
        yield Problem("train.batch_tokens", f"has no effect with train.batching = {train.batching}")
    if train.batching == "buckets" and "per_device_train_batch_size" in config.trainer:
        why = "has no effect with train.batching = buckets, which fills train.batch_tokens"
        yield Problem("trainer.per_device_train_batch_size", why)
    if config.trainer.get("gradient_accumulation_steps", 1) != 1:
        remedy = "raise per_device_train_batch_size instead; train.micro_batch_tokens bounds its memory"
        yield Problem("trainer.gradient_accumulation_steps", f"needs to be 1 with train.method = sft: {remedy}")
    if config.data is not None and config.data.mlt is None and train.mlt_weight != 1.0:
        yield Problem("train.mlt_weight", "has no effect without data.mlt")
    if config.data is not None and config.data.mlt is None and train.mlt_rate != 1.0:
        yield Problem("train.mlt_rate", "has no effect without data.mlt")
    if config.data is not None and config.data.form == "text" and train.end_weight != 1.0:
        yield Problem("train.end_weight", "has no effect with data.form = text")


def longest_piece(max_length: int) -> int:
    """The largest k of a piece of 2^k + 1 tokens that fits."""
    return max(1, (max_length - 1).bit_length() - 1)


def _dpo(config: Config) -> Iterator[Problem]:
    if config.data is not None and config.data.mlt is not None:
        why = "adds tokens by train.method = sft alone: start from a model that has them, with prompts.mlt=true"
        yield Problem("data.mlt", why)
    if config.data is not None and config.data.columns is not None:
        yield Problem("data.columns", "has no effect with train.method = dpo: pairs are prompt, chosen and rejected")
