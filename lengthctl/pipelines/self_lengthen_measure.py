"""What a round of Self-Lengthen is judged by: the generator's answers to prompts that it is never trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from lengthctl.data_gen.filters import repetitive, unfinished
from lengthctl.data_gen.quality import measure_quality
from lengthctl.data_gen.self_lengthen import words_of
from lengthctl.data_gen.self_lengthen_settings import SelfLengthenSettings
from lengthctl.decode.calls import raise_for_error
from lengthctl.decode.flow import Answer, Call, Flow
from lengthctl.reasoning import without_reasoning
from lengthctl.records import FinishReason

__all__ = ["ProbeResult", "measure_probe", "probe_flow", "probe_row", "reason_to_stop"]


def probe_flow(instruction: str, max_tokens: int) -> Callable[[], Flow[Answer]]:
    """One answer as it comes: no check, no second try."""

    def flow() -> Flow[Answer]:
        answers = yield [Call("probe/0", ({"role": "user", "content": instruction},), max_tokens)]
        raise_for_error(answers)
        return answers[0]

    return flow


def probe_row(answer: Answer) -> dict[str, Any]:
    """What a file keeps of it, without reasoning."""
    return {"text": without_reasoning(answer.text).strip(), "finish": str(answer.finish)}


@dataclass(frozen=True)
class ProbeResult:
    """Of all answers of one generator; shares lie in [0, 1]."""

    texts: int
    finished: float
    """Share that ended by itself, and not inside a sentence (`filters.unfinished`)."""
    fresh: float
    """Share without repetition (`filters.repetitive`)."""
    variety: float
    """Mean distinct-2 of windows of 200 words."""
    median_words: float | None
    """Of the texts that are finished and without repetition; None where there is none."""
    sound: int
    """Number of those."""
    median_words_of_all: float

    def to_row(self) -> dict[str, Any]:
        """For `rounds.json`."""
        return asdict(self)


def measure_probe(rows: Sequence[Mapping[str, Any]]) -> ProbeResult:
    """The result of rows as `probe_row` makes them; those with a setback count as texts without a word.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("nothing was asked")
    texts = [row.get("text", "") for row in rows]
    finishes = [FinishReason(row.get("finish", FinishReason.ERROR)) for row in rows]
    ended = [unfinished(text, finish) is None and bool(text) for text, finish in zip(texts, finishes, strict=True)]
    fresh = [bool(text) and repetitive(text) is None for text in texts]
    words = [words_of(text) for text in texts]
    sound = [n for n, end, new in zip(words, ended, fresh, strict=True) if end and new and n]
    return ProbeResult(
        texts=len(texts),
        finished=sum(ended) / len(texts),
        fresh=sum(fresh) / len(texts),
        variety=sum(measure_quality(text).variety for text in texts) / len(texts),
        median_words=float(median(sound)) if sound else None,
        sound=len(sound),
        median_words_of_all=float(median(words)),
    )


def reason_to_stop(before: ProbeResult, after: ProbeResult, settings: SelfLengthenSettings) -> str | None:
    """Why no further round is worth its cost, from the results before and after the last one; None: go on."""
    for name in ("finished", "fresh", "variety"):
        old, new = getattr(before, name), getattr(after, name)
        if old - new > settings.most_loss:
            return f"quality: {name} fell from {old:.3f} to {new:.3f}"
    if after.median_words is None:
        return "quality: no text is finished and without repetition"
    if before.median_words is not None and after.median_words < settings.least_growth * before.median_words:
        return f"no growth: median of sound texts {before.median_words:g} to {after.median_words:g} words"
    return None
