"""LanguageReward: see the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lengthctl.registry import register
from lengthctl.rewards.completions import Completions, text_of
from lengthctl.rewards.scripts import script_pattern, scripts_of_language

__all__ = ["LanguageReward"]


@register("reward", "language")
@dataclass(frozen=True)
class LanguageReward:
    """Share of the letters that are of the scripts of the wanted language, in [0, 1]; 0 without letters. Ours.

    The language is the row's column `language`, else the argument; None where neither is given. It tells scripts apart,
    not languages: English and French look alike, kanji count for Japanese and Chinese, and Latin letters of formulas
    and code count against the others. Meant as a gate against a change of language in mid-text.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0

    language: str | None = None
    """Code (`en`, `ja`, `pt-BR`) or script (`latin`, `han`) of all rows that name none."""

    def __post_init__(self) -> None:
        if self.language is not None:
            scripts_of_language(self.language)

    def __call__(self, completions: Completions, **columns: Any) -> list[float | None]:
        """One value a completion.

        Raises:
            ValueError: a language that is not known.
        """
        wanted = columns.get("language") or [None] * len(completions)
        rows = zip(completions, wanted, strict=True)
        return [self._score(text_of(completion), self.language if row is None else row) for completion, row in rows]

    def _score(self, text: str, language: str | None) -> float | None:
        if language is None:
            return None
        letters = "".join(filter(str.isalpha, text))
        return len(script_pattern(scripts_of_language(language)).findall(letters)) / len(letters) if letters else 0.0
