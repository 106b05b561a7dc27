"""A fixed outline, for models whose plans cannot be used: main points for any text, with the subject of the request."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count, islice

from lengthctl.writing_system import wording_language

__all__ = ["further_points", "outline_points"]

_POINTS = {
    "en": (
        "The opening: what this is about",
        "What came before, and what one has to know",
        "The most important point, in detail",
        "An example that shows it",
        "Another side of it",
        "What is difficult about it",
        "What follows from it",
        "The end: what remains",
    ),
    "zh": (
        "开头：说明要讲什么",
        "背景和来历",
        "最重要的一点，展开来讲",
        "一个具体的例子",
        "从另一个角度来看",
        "困难和问题在哪里",
        "由此会带来什么",
        "结尾：收束全文",
    ),
}


def outline_points(request: str, parts: int) -> tuple[str, ...]:
    """Main points, no two alike: the opening, the end, and between them what there is room for; for a single part the
    subject. Each names the subject, the first words of the request. English, or Chinese for Chinese requests. Ours.

    Args:
        request: what is asked for.
        parts: how many, at least 1.
    """
    opening, *middle, end = _POINTS[wording_language(request)]
    chosen = [opening]
    between = parts - 2
    for number in range(between):
        place = number if between > len(middle) else number * len(middle) // between
        turn, index = divmod(place, len(middle))
        chosen.append(f"{middle[index]} ({turn + 1})" if turn else middle[index])
    if parts > 1:
        chosen.append(end)
    subject = _subject(request)
    return tuple(f"{point} ({subject})" for point in chosen) if subject else tuple(chosen)


def further_points(request: str, used: Collection[str], wanted: int) -> list[str]:
    """Points between an opening and an end that are not used yet."""
    _, *middle, _ = _POINTS[wording_language(request)]
    subject = _subject(request)
    suffix = f" ({subject})" if subject else ""
    turns = ("" if turn == 1 else f" ({turn})" for turn in count(1))
    points = (f"{point}{turn}{suffix}" for turn in turns for point in middle)
    return list(islice((point for point in points if point not in used), wanted))


def _subject(request: str) -> str:
    """First words of a request: up to its first sentence mark, at most 12 words or 40 characters without blanks."""
    line = next((line.strip() for line in request.split("\n") if line.strip()), "")[:400]
    for mark in ".!?。！？":
        line = line.split(mark, 1)[0]
    words = line.split()[:12]
    return " ".join(words)[:120] if len(words) > 2 else line[:40]
