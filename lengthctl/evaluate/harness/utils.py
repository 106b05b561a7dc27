"""What the harness's task files call: prompts, and the measures of one answer.

lm-evaluation-harness (0.4.13) loads this file by its path, so imports are absolute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lengthctl.config import PromptsConfig
from lengthctl.evaluate.metrics import MEASURES
from lengthctl.evaluate.tlg import LEVELS, build_tlg_open, tlg_name
from lengthctl.length import Target, Unit
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.prompts import LengthPrompt, SeedPrompt, build_length_prompts
from lengthctl.scoring import Scored, score_text

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["s_l_documents", "s_l_results", "tlg_documents", "tlg_results"]

S_L_TARGETS = tuple(Target(value, unit=Unit.WORDS_LONGWRITER) for value in (100, 200, 500, 1000))
"""Ours; counted by LongBench-Write's own rule."""

_WORDING = "{request} Write {length}."
_TLG = {"pm": "pm", "fm": "fm", "abs_relative_deviation": "mean_abs_relative_deviation", "s_l": "s_l"}
_S_L = {"s_l": "s_l", "abs_relative_deviation": "mean_abs_relative_deviation"}
"""A metric's name in the harness, and the measure that it is the mean of."""


def tlg_documents(**_: object) -> dict[str, Dataset]:
    """`tlg_open`: the built-in held-out prompts, each with Ruler's nine targets. Metadata that the harness hands is not
    used."""
    return _documents(build_tlg_open(_seeds()))


def s_l_documents(**_: object) -> dict[str, Dataset]:
    """The built-in held-out prompts, each with every target of `S_L_TARGETS`."""
    return _documents(build_length_prompts(_seeds(), S_L_TARGETS, wordings=[_WORDING], seed=0))


def tlg_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """PM, FM, deviation and S_l, and PM and FM of the target's level."""
    scored = _score(doc, results)
    values = _measured(scored, _TLG)
    name = tlg_name(scored.target)
    level = next(i for i, names in enumerate(LEVELS.values()) if name in names)
    return {**values, f"pm_level_{level}": values["pm"], f"fm_level_{level}": values["fm"]}


def s_l_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """S_l (0 to 1) and deviation, of the length in words by LongBench-Write's rule."""
    return _measured(_score(doc, results), _S_L)


def _seeds() -> list[SeedPrompt]:
    return load_seed_prompts(PromptsConfig.model_validate({}), "eval")


def _documents(prompts: Sequence[LengthPrompt]) -> dict[str, Dataset]:
    from datasets import Dataset

    rows = [
        {"id": p.id, "prompt_id": p.seed_id, "prompt": p.messages[-1]["content"], "target": p.target.to_row()}
        for p in prompts
    ]
    return {"test": Dataset.from_list(rows)}


def _score(doc: Mapping[str, Any], results: Sequence[str]) -> Scored:
    target = Target.parse(doc["target"])
    return score_text(results[0], target, prompt_id=doc["prompt_id"], tokens=0, is_truncated=False)


def _measured(scored: Scored, measures: Mapping[str, str]) -> dict[str, float]:
    values = {name: MEASURES[measure](scored) for name, measure in measures.items()}
    return {name: value for name, value in values.items() if value is not None}
