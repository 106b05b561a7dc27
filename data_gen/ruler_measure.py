"""One row of instruction data as training data for meta length tokens: its token, or why it gets none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lengthctl.data_gen import filters
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.data_gen.length_demands import strip_length_demands
from lengthctl.data_gen.near_duplicates import NearDuplicates
from lengthctl.data_gen.ruler_settings import RulerSettings
from lengthctl.length import Encoder, count_length
from lengthctl.mlt import split_text
from lengthctl.mlt_table import MltTable

__all__ = ["RulerMeasure"]


@dataclass(frozen=True)
class RulerMeasure:
    """Looks at rows one by one; what it finds does not depend on other rows."""

    table: MltTable
    settings: RulerSettings
    contamination: Contamination | None = None
    tokenizer: Encoder | None = None
    known: NearDuplicates | None = None
    """Makes the fingerprints; None: there are none."""

    @property
    def identity(self) -> list[Any]:
        """All that a decision depends on, but for versions; anything that JSON can write."""
        tokenizer = None if self.tokenizer is None else str(getattr(self.tokenizer, "name_or_path", ""))
        held_out = None if self.contamination is None else self.contamination.digest
        return [self.table.to_row(), self.settings.of_a_decision, held_out, tokenizer]

    def decide(self, row: Instruction) -> dict[str, Any]:
        """`source`, `id`, `length`, and either the `reason` why the row is not used, or its `token` by name, with the
        `exact` and `sketch` of its fingerprint."""
        asked, text = self.asked(row), self.text_of(row)
        length = count_length(text, self.table.unit, self.tokenizer)
        about = {"source": row.source, "id": row.id, "length": length}
        reason, token = self._refuse(asked, text), self.table.token_for_text(length)
        if reason is not None or token is None:
            return {**about, "reason": reason or DropReason.OUTSIDE_BANDS}
        whole = "\n".join([*(message["content"] for message in asked.messages), text])
        limit = self.settings.max_tokens
        if limit is not None and (reason := filters.too_long(whole, limit, self._count_tokens)):
            return {**about, "reason": reason}
        if self.known is None:
            return {**about, "token": token.name}
        found = self.known.fingerprint(text, whole=whole)
        return {**about, "token": token.name, "exact": found.exact, "sketch": found.sketch}

    def text_of(self, row: Instruction) -> str:
        """The completion without meta length tokens and without white space around it."""
        return split_text(row.completion, self.table).text.strip()

    def asked(self, row: Instruction) -> Instruction:
        """The row; where lengths are stripped, without the one that its last message names."""
        if self.settings.length_demands != "strip":
            return row
        *rest, last = row.messages
        return replace(row, messages=(*rest, {**last, "content": strip_length_demands(last["content"])}))

    def _refuse(self, asked: Instruction, text: str) -> DropReason | None:
        settings, request = self.settings, asked.messages[-1]["content"]
        if reason := filters.empty(text):
            return reason
        if settings.length_demands != "keep" and (filters.asks_for_length(request) or not request.strip()):
            return DropReason.LENGTH_DEMAND
        turns = [message["content"] for message in asked.messages if message["role"] == "user"]
        if self.contamination is not None and any(map(self.contamination.hit, turns)):
            return DropReason.CONTAMINATED
        if settings.require_finished and (reason := filters.unfinished(text, asked.finish)):
            return reason
        if settings.max_repetition is None:
            return None
        return filters.repetitive(text, max_share=settings.max_repetition, max_compression=settings.max_compression)

    def _count_tokens(self, text: str) -> int:
        assert self.tokenizer is not None
        return len(self.tokenizer.encode(text, add_special_tokens=False))
