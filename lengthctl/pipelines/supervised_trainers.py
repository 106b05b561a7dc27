"""The trainers that learn from texts and from pairs, over the model and the data of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.mlt import MltRecord, MltTable, template_hash
from lengthctl.mlt_install import add_tokens, install
from lengthctl.mlt_template import with_mlt
from lengthctl.models import LoadedTokenizer, load_policy, load_tokenizer
from lengthctl.pipelines.supervised_inputs import TrainData, load_pairs, load_train_data
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.train.hyperfitting import HYPERFIT_FILE, HyperfitProbe, StopRule, build_callback
from lengthctl.train.settings import build_dpo_config, build_sft_config

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.config.sections import HyperfitSection
    from lengthctl.rundir import RunFolder

__all__ = ["Prepared", "check_data", "prepare"]

_PROBED_TOKENS = 128
"""Of a greedy continuation; the type-token ratio is of the last 96."""


@dataclass(frozen=True)
class Prepared:
    """All that training needs but its callbacks."""

    tokenizer: LoadedTokenizer
    data: TrainData
    max_steps: int
    """Of the whole training; 0 or less where only the trainer knows."""
    build: Callable[[list[Any], Path | None], Any]
    """The trainer, from its callbacks and the checkpoint that it goes on from."""
    companions: Mapping[str, int] = field(default_factory=dict)
    """Files that a whole checkpoint has, each from a step on."""


def check_data(config: Config, run: RunFolder) -> TrainData:
    """The data without the model, before minutes are spent on it; `prepare` takes them.

    Raises:
        DataError: the data cannot be read, or nothing is left to learn from.
        ModelError: the tokenizer or its template cannot be used.
        RunFolderError: a resumed run began with other data or versions.
    """
    tokenizer = load_tokenizer(config.model)
    if config.train.method == "dpo":
        return load_pairs(config, run, tokenizer)
    table = _table(config)
    if table is not None:
        add_tokens(tokenizer.tokenizer, table)
        tokenizer = _marked(tokenizer, table)
    return _sft_data(config, run, tokenizer)


def prepare(config: Config, run: RunFolder, say: Callable[[str], None], data: TrainData | None = None) -> Prepared:
    """Load the model, and the data where they are not given.

    Raises:
        ConfigError: TRL refuses an option.
        DataError: the data cannot be read, or nothing is left to learn from.
        ModelError: the model or its template cannot be used.
        RunFolderError: a resumed run began with other data or versions.
    """
    return _preference(config, run, data) if config.train.method == "dpo" else _supervised(config, run, say, data)


def _supervised(config: Config, run: RunFolder, say: Callable[[str], None], given: TrainData | None) -> Prepared:
    from lengthctl.train.sft import LengthSFTTrainer
    from lengthctl.train.supervised_rows import CompletionCollator

    args, table = build_sft_config(config, run), _table(config)
    tokenizer = load_tokenizer(config.model)
    inner = tokenizer.tokenizer
    model = load_policy(config.model, None if table is None else lambda found: install(found, inner, table))
    tokenizer = tokenizer if table is None else _marked(tokenizer, table)
    data = given or _sft_data(config, run, tokenizer)
    lead_ids = frozenset(_lead_ids(config, tokenizer).values())
    train = config.train
    collator = CompletionCollator(lead_ids, train.mlt_weight, train.loss_weighting, train.end_weight)

    def build(callbacks: list[Any], checkpoint: Path | None) -> Any:
        trainer = LengthSFTTrainer(
            model=model,
            args=args,
            train_dataset=data.rows,
            processing_class=inner,
            callbacks=callbacks,
            collator=collator,
            batching=config.train.batching,
            batch_tokens=config.train.batch_tokens,
            curriculum=config.train.curriculum if config.data is not None and config.data.pieces else None,
            micro_batch_tokens=config.train.micro_batch_tokens,
            mlt_rate=config.train.mlt_rate,
        )
        if config.train.batching == "packed" and trainer.packing_obstacle is not None:
            say(f"rows are padded: {trainer.packing_obstacle}")
        if config.train.hyperfit is not None:
            trainer.add_callback(_hyperfit_probe(config, config.train.hyperfit, trainer, tokenizer, checkpoint))
        return trainer

    companions = {} if config.train.hyperfit is None else {HYPERFIT_FILE: 0}
    return Prepared(tokenizer, data, args.max_steps, build, companions)


def _hyperfit_probe(
    config: Config, settings: HyperfitSection, trainer: Any, tokenizer: LoadedTokenizer, checkpoint: Path | None
) -> Any:
    """Greedy texts for held-out prompts, by the model as it is trained."""
    from lengthctl.train.greedy import continue_greedily

    seeds = load_seed_prompts(config.prompts, "eval")[: settings.prompts]
    asked = [tokenizer.prompt_ids([dict(message) for message in seed.messages]) for seed in seeds]

    def continued(_: Sequence[str]) -> list[list[int]]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        return continue_greedily(model, asked, tokenizer.stop_token_ids, _PROBED_TOKENS)

    rule = StopRule(settings.loss_below, settings.loss_steps, settings.patience)
    names = [seed.id for seed in seeds]
    probe = HyperfitProbe(names, continued, trainer.log, every=settings.every, rule=rule)
    return build_callback(probe, checkpoint)


def _preference(config: Config, run: RunFolder, given: TrainData | None) -> Prepared:
    from trl import DPOTrainer

    args = build_dpo_config(config, run)
    tokenizer = load_tokenizer(config.model)
    model, data = load_policy(config.model), given or load_pairs(config, run, tokenizer)

    def build(callbacks: list[Any], _: Path | None) -> Any:
        inner = tokenizer.tokenizer
        return DPOTrainer(model=model, args=args, train_dataset=data.rows, processing_class=inner, callbacks=callbacks)

    return Prepared(tokenizer, data, args.max_steps, build)


def _sft_data(config: Config, run: RunFolder, tokenizer: LoadedTokenizer) -> TrainData:
    """With the tokens of `data.mlt` in the tokenizer."""
    limit = build_sft_config(config, run).max_length
    return load_train_data(config, run, tokenizer, _lead_ids(config, tokenizer), limit)


def _lead_ids(config: Config, tokenizer: LoadedTokenizer) -> dict[str, int]:
    """By the token's name; none where `data.mlt` asks for none, whatever the model has."""
    if tokenizer.mlt is None or _table(config) is None:
        return {}
    return {token.name: i for i, token in tokenizer.mlt.by_id.items()}


def _table(config: Config) -> MltTable | None:
    assert config.data is not None
    return config.data.mlt_table


def _marked(tokenizer: LoadedTokenizer, table: MltTable) -> LoadedTokenizer:
    """With the table's record, and a template that takes `target_words`."""
    inner = tokenizer.tokenizer
    inner.chat_template = with_mlt(inner.chat_template, table)
    ids = tuple(int(inner.convert_tokens_to_ids(token.text)) for token in table.tokens)
    return replace(tokenizer, mlt=MltRecord(table, ids, template_hash(inner.chat_template)))
