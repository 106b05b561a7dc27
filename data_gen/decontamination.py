"""Keeps prompts of an evaluation out of training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lengthctl.data_gen.normal_text import content_digest, normal_form, normal_words, word_grams

__all__ = ["Contamination"]


class Contamination:
    """Knows the texts of an evaluation, and tells whether another text holds one.

    A text is hit when its normal form equals that of an evaluation text, or when it holds at least `share` of the
    different word n-grams of one. Evaluation texts of fewer than `n` words are only compared whole. Ours; 8-grams and
    one half are what the project's data was checked with. Memory: about 150 bytes for each word of the evaluation.

    Args:
        texts: prompts of the evaluation; those without any character but white space are passed over.
        n: words of an n-gram, at least 1.
        share: in (0, 1].

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(self, texts: Iterable[str], *, n: int = 8, share: float = 0.5) -> None:
        if n < 1 or not 0 < share <= 1:
            raise ValueError(f"needs n >= 1 and 0 < share <= 1, found {n} and {share}")
        self._n, self._share = n, share
        self._exact: set[str] = set()
        self._holders: dict[str, list[int]] = {}
        self._sizes: list[int] = []
        for text in texts:
            form = normal_form(text)
            if form and form not in self._exact:
                self._exact.add(form)
                self._add(set(word_grams(normal_words(text), n)))

    def _add(self, grams: set[str]) -> None:
        for gram in grams:
            self._holders.setdefault(gram, []).append(len(self._sizes))
        self._sizes.append(len(grams))

    def __len__(self) -> int:
        """Different evaluation texts."""
        return len(self._exact)

    @property
    def digest(self) -> str:
        """Of all that the answers depend on; the order of the texts is none of it."""
        return content_digest(self._n, self._share, sorted(self._exact))

    def hit(self, text: str) -> bool:
        """The text is one of the evaluation's, or holds enough of one."""
        if normal_form(text) in self._exact:
            return True
        held = Counter[int]()
        for gram in set(word_grams(normal_words(text), self._n)):
            held.update(self._holders.get(gram, ()))
        return any(count >= self._share * self._sizes[place] for place, count in held.items())
