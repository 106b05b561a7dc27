"""One row of long texts, looked at by itself: its measures, or why it is not used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lengthctl.data_gen import curate_filters, filters
from lengthctl.data_gen.curate_settings import CurationSettings
from lengthctl.data_gen.decontamination import Contamination
from lengthctl.data_gen.filters import DropReason
from lengthctl.data_gen.instruction_data import Instruction
from lengthctl.data_gen.near_duplicates import Fingerprint, NearDuplicates
from lengthctl.data_gen.quality import measure_quality
from lengthctl.data_gen.stated_length import find_stated_length
from lengthctl.length import Encoder, Target, Unit, count_length
from lengthctl.writing_system import language_of

__all__ = ["CurateMeasure", "curated_row", "fingerprints_of", "quality_of", "target_of"]

_KEPT = ("plan", "parts")
"""Columns of the sources that stay; others could be anything."""


def target_of(row: Instruction) -> Target | None:
    """The length that a row's column `target` or its request states; None for none, or several."""
    column = row.columns.get("target")
    if column is not None:
        try:
            return Target.parse(column)
        except (TypeError, ValueError):  # a column of another meaning
            pass
    found = find_stated_length(row.messages[-1]["content"])
    return found if isinstance(found, Target) else None


@dataclass(frozen=True)
class CurateMeasure:
    """Looks at rows one by one; what it finds does not depend on other rows."""

    settings: CurationSettings
    requests: NearDuplicates
    texts: NearDuplicates
    """Both make the fingerprints."""
    contamination: Contamination | None = None
    tokenizer: Encoder | None = None
    """For targets in tokens; without it, rows that have one are dropped."""

    @property
    def identity(self) -> list[Any]:
        """All that a decision depends on, but for versions; anything that JSON can write."""
        tokenizer = None if self.tokenizer is None else str(getattr(self.tokenizer, "name_or_path", ""))
        held_out = None if self.contamination is None else self.contamination.digest
        return [self.settings.of_a_decision, held_out, tokenizer]

    def decide(self, row: Instruction) -> dict[str, Any]:
        """`source`, `id`, `words`, and either the `reason` why the row is not used, or its `bucket`, `language`,
        `target`, `length`, `quality` (parts in [0, 1]) and fingerprints."""
        text = row.completion.strip()
        words = count_length(text, Unit.WORDS_MIXED)
        about: dict[str, Any] = {"source": row.source, "id": row.id, "words": words}
        target = target_of(row)
        if target is not None and target.unit is Unit.TOKENS and self.tokenizer is None:
            target = None
        if reason := self._refuse(row, text, words):
            return {**about, "reason": reason}
        length = None if target is None else count_length(text, target.unit, self.tokenizer)
        if reason := self._off_length(target, length):
            return {**about, "reason": reason}
        quality = measure_quality(text, target, length=length)
        request = self.requests.fingerprint(row.messages[-1]["content"])
        whole = "\n".join([*(message["content"] for message in row.messages), text])
        found = self.texts.fingerprint(text, whole=whole)
        return {
            **about,
            "target": None if target is None else target.to_row(),
            "length": length,
            "language": language_of(text),
            "bucket": self.settings.bucket(words),
            "quality": {"writing": round(quality.writing, 6), "s_l": _rounded(quality.s_l)},
            "request": [request.exact, request.sketch],
            "text": [found.exact, found.sketch],
        }

    def _refuse(self, row: Instruction, text: str, words: int) -> DropReason | None:
        settings, request = self.settings, row.messages[-1]["content"]
        if reason := filters.empty(text) or curate_filters.refused(text):
            return reason
        if words < settings.min_words or (settings.max_words is not None and words > settings.max_words):
            return DropReason.OUTSIDE_BANDS
        turns = [message["content"] for message in row.messages if message["role"] == "user"]
        if self.contamination is not None and any(map(self.contamination.hit, turns)):
            return DropReason.CONTAMINATED
        if settings.require_finished and (reason := filters.unfinished(text, row.finish)):
            return reason
        if settings.check_language and (reason := curate_filters.other_language(request, text)):
            return reason
        if settings.check_leftovers and (reason := curate_filters.leftovers(text)):
            return reason
        if not settings.check_repetition:
            return None
        return filters.repetitive(text) or curate_filters.repetitive_part(text)

    def _off_length(self, target: Target | None, length: int | None) -> DropReason | None:
        if target is None or length is None:
            return DropReason.LENGTH_UNSTATED if self.settings.lengths == "stated" else None
        return curate_filters.length_missed(length, target, least=self.settings.min_s_l)


def fingerprints_of(decision: Mapping[str, Any]) -> tuple[Fingerprint, Fingerprint]:
    """Of the request and of the text, as `decide` kept them."""
    return Fingerprint(*decision["request"]), Fingerprint(*decision["text"])


def quality_of(decision: Mapping[str, Any], s_q: float | None = None) -> float:
    """`Quality.value` of what `decide` kept, with a judge's score where there is one."""
    writing, length_score = decision["quality"]["writing"], decision["quality"]["s_l"]
    quality: float = writing if s_q is None else s_q
    return quality if length_score is None else (length_score + quality) / 2


def curated_row(row: Instruction, decision: Mapping[str, Any], quality: float, s_q: float | None) -> dict[str, Any]:
    """A row that was chosen, in TRL's conversational form, with what was found out about it."""
    return {
        "prompt": [dict(message) for message in row.messages],
        "completion": [{"role": "assistant", "content": row.completion.strip()}],
        "id": row.id,
        "target": decision["target"],
        "length": decision["length"],
        "words": decision["words"],
        "language": decision["language"],
        "quality": round(quality, 4),
        "s_l": decision["quality"]["s_l"],
        "s_q": s_q,
        "source": row.source,
        "licence": row.licence,
        **{name: row.columns[name] for name in _KEPT if row.columns.get(name) is not None},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
