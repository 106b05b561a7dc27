"""Scripts of writing, as ranges of Unicode, and the languages that are written in them."""

from __future__ import annotations

import re

from lengthctl.registry import did_you_mean

__all__ = ["UNSPACED", "script_pattern", "scripts_of_language"]

_RANGES = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u02af\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua7ff\ufb00-\ufb06"
    "\uff21-\uff3a\uff41-\uff5a",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\ua640-\ua69f",
    "armenian": "\u0530-\u058f",
    "hebrew": "\u0590-\u05ff\ufb1d-\ufb4f",
    "arabic": "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u097f\ua8e0-\ua8ff",
    "bengali": "\u0980-\u09ff",
    "gurmukhi": "\u0a00-\u0a7f",
    "gujarati": "\u0a80-\u0aff",
    "tamil": "\u0b80-\u0bff",
    "telugu": "\u0c00-\u0c7f",
    "kannada": "\u0c80-\u0cff",
    "malayalam": "\u0d00-\u0d7f",
    "thai": "\u0e00-\u0e7f",
    "lao": "\u0e80-\u0eff",
    "myanmar": "\u1000-\u109f",
    "georgian": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "hangul": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7fb",
    "ethiopic": "\u1200-\u137f",
    "khmer": "\u1780-\u17ff",
    "kana": "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "han": "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}

UNSPACED = ("han", "kana", "thai", "lao", "myanmar", "khmer")
"""Scripts that put no spaces between words."""

_LANGUAGES = {
    "latin": "af ca cs cy da de en es et eu fi fr ga gl hr hu id is it la lt lv ms nl no pl pt ro sk sl sq sv sw tl tr"
    " vi",
    "cyrillic": "be bg kk ky mk mn ru tg uk",
    "arabic": "ar fa ps ur",
    "devanagari": "hi mr ne",
    "hebrew": "he yi",
    "hangul": "ko",
    "kana han": "ja",
    "han": "zh",
    "latin cyrillic": "sr uz",
    **{"greek": "el", "armenian": "hy", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "tamil": "ta"},
    **{"telugu": "te", "kannada": "kn", "malayalam": "ml", "thai": "th", "lao": "lo", "myanmar": "my"},
    **{"georgian": "ka", "ethiopic": "am", "khmer": "km"},
}
_SCRIPTS_OF = {code: tuple(scripts.split()) for scripts, codes in _LANGUAGES.items() for code in codes.split()}


def scripts_of_language(language: str) -> tuple[str, ...]:
    """Scripts of a language by its code of ISO 639-1, with or without a region (`pt-BR`), or of a script by its name.

    Raises:
        ValueError: neither is known.
    """
    name = language.strip().lower()
    if name in _RANGES:
        return (name,)
    code = name.replace("_", "-").partition("-")[0]
    if code not in _SCRIPTS_OF:
        known = [*_SCRIPTS_OF, *_RANGES]
        raise ValueError(f"{language!r} is no language or script that is known here{did_you_mean(name, known)}")
    return _SCRIPTS_OF[code]


def script_pattern(scripts: tuple[str, ...]) -> re.Pattern[str]:
    """One character of these scripts; letters and marks, and the few signs in their ranges."""
    return re.compile(f"[{''.join(_RANGES[script] for script in scripts)}]")
