"""How likely every side's texts are under the first side's model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.likelihood import (
    LikelyText,
    TextLikelihood,
    likelihood_change,
    likelihood_levels,
    text_likelihoods,
)
from lengthctl.models import load_policy, load_tokenizer
from lengthctl.pipelines.sampling import Sample
from lengthctl.records import SCHEMA
from lengthctl.rundir import write_atomic

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator

__all__ = ["add_likelihoods"]


def add_likelihoods(
    summary: dict[str, Any],
    config: Config,
    sides: Mapping[str, Sequence[Sample]],
    narrator: Narrator,
    *,
    files: Mapping[str, Path],
) -> None:
    """Put `nll_per_token` and `nll_open_per_token` beside the measures of a summary, and into its differences.

    Args:
        summary: of the evaluation; changed in place.
        config: its model is loaded.
        sides: their samples by name.
        narrator: shows progress.
        files: by side, a JSONL file for each text's nats and tokens; may be empty.
    """
    tokenizer = load_tokenizer(config.model)
    model = load_policy(config.model.model_copy(update={"lora": None})).eval()
    found: dict[str, list[LikelyText]] = {}
    for name, samples in sides.items():
        texts = [(sample.row["messages"], sample.scored.text) for sample in samples]
        with narrator.bar(len(texts), f"likelihood {name}") as bar:
            values = text_likelihoods(model, tokenizer, texts, bar.update)
        found[name] = [
            LikelyText(sample.scored.prompt_id, sample.scored.target.label, value)
            for sample, value in zip(samples, values, strict=True)
        ]
        if name in files:
            _write(files[name], samples, values)
        levels = likelihood_levels(found[name], config.run.seed)
        side = summary["subjects"][name]
        side["overall"].update(levels["overall"])
        for label, level in levels["by_target"].items():
            side["by_target"][label].update(level)
    first, *others = found
    for name in others:
        change = summary["differences"][name]
        change.update(likelihood_change(found[first], found[name], config.run.seed))
        for label, level in change["by_target"].items():
            before, after = ([text for text in found[side] if text.target == label] for side in (first, name))
            level.update(likelihood_change(before, after, config.run.seed))


def _write(path: Path, samples: Sequence[Sample], values: Sequence[TextLikelihood]) -> None:
    rows = (
        {"schema": SCHEMA, "id": sample.row["id"], "nll": value.nll, "nll_open": value.nll_open, "tokens": value.tokens}
        for sample, value in zip(samples, values, strict=True)
    )
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
