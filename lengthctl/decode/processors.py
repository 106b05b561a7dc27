"""Rules on logits, per request, as one vLLM V1 logits processor: a batch may mix requests with and without rules.

A request carries its rules in `SamplingParams.extra_args["lengthctl"]`: `{"rules": {name: settings}, "told": n}`. Rows
without rules are not touched. The processor sees logits before temperature: a bias of b multiplies the odds of a token
by e^(b/temperature).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from lengthctl.decode.logit_rules import Rule, build_rules

if TYPE_CHECKING:
    import torch

__all__ = ["LogitRules"]


@dataclass
class _Row:
    rules: list[Rule]
    told: list[int]
    """Tokens of the answer that stand at the end of the prompt: of a request that goes on."""
    output: list[int]
    """vLLM's own list, which grows."""


class LogitRules(LogitsProcessor):  # type: ignore[misc]
    """The rules of all rows of a batch."""

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Bad settings are refused when the request is added.

        Raises:
            ValueError: see `build_rules`.
        """
        build_rules(_own(sampling_params).get("rules", {}))

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        """Greedy decoding changes too."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow the batch as rows come, go and move."""
        process_dict_updates(self._rows, batch_update, _new_row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """(rows, V) in place."""
        for index, row in self._rows.items():
            written = [*row.told, *row.output] if row.told else row.output
            for rule in row.rules:
                rule.apply(logits[index], written)
        return logits


def _own(params: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (params.extra_args or {}).get("lengthctl", {})
    return found


def _new_row(params: Any, prompt_ids: list[int] | None, output_ids: list[int]) -> _Row | None:
    own = _own(params)
    rules = build_rules(own.get("rules", {}))
    if not rules:
        return None
    told = int(own.get("told", 0))
    return _Row(rules, list(prompt_ids or ())[-told:] if told else [], output_ids)
