"""Keeps prompts of an evaluation out of training data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from lengthctl.normal_text import content_digest, normal_form, normal_words, word_grams

__all__ = ["Contamination", "strict_contamination"]


_NUMBER = re.compile(
    r"[0-9\u3007\u4e00\u4e8c\u4e24\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341\u767e\u5343\u4e07\u842c\u5169]+"
)
"""In a normalised word or text: digits and Chinese numerals."""


_ANY = 1e-9
"""A share that one n-gram reaches."""


class Contamination:
    """Knows the texts of an evaluation, and tells whether another text holds one.

    A text is hit when its normal form equals that of an evaluation text, when it holds at least `share` of the
    different word n-grams of one, or when the two have more than `jaccard` of their word n-grams of `jaccard_n` in
    common. Evaluation texts of fewer than `n` words are not looked for inside others. Ours; 8-grams and one half are
    what the project's data was checked with. Memory: about 150 bytes for each word of the evaluation, twice that with
    `jaccard`.

    Args:
        texts: prompts of the evaluation; those without any character but white space are passed over.
        n: words of an n-gram, at least 1.
        share: in (0, 1].
        jaccard: in (0, 1); None: similarity is not looked at.
        jaccard_n: words of the n-grams that are compared, at least 1.
        without_numbers: numbers are left out of both sides before they are compared: for prompts that are templates
            with a length in them.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        texts: Iterable[str],
        *,
        n: int = 8,
        share: float = 0.5,
        jaccard: float | None = None,
        jaccard_n: int = 5,
        without_numbers: bool = False,
    ) -> None:
        if n < 1 or not 0 < share <= 1:
            raise ValueError(f"needs n >= 1 and 0 < share <= 1, found {n} and {share}")
        if jaccard_n < 1 or (jaccard is not None and not 0 < jaccard < 1):
            raise ValueError(f"needs jaccard_n >= 1 and 0 < jaccard < 1, found {jaccard_n} and {jaccard}")
        self._n, self._share = n, share
        self._jaccard, self._jaccard_n = jaccard, jaccard_n
        self._without_numbers = without_numbers
        self._exact: set[str] = set()
        self._inside = _Holders()
        self._alike = _Holders()
        for text in texts:
            form = self._form(text)
            if form and form not in self._exact:
                self._exact.add(form)
                words = self._words(text)
                self._inside.add(set(word_grams(words, n)))
                if jaccard is not None:
                    self._alike.add(set(word_grams(words, jaccard_n)))

    def _form(self, text: str) -> str:
        form = normal_form(text)
        return _NUMBER.sub("", form) if self._without_numbers else form

    def _words(self, text: str) -> list[str]:
        words = normal_words(text)
        return [word for word in words if not _NUMBER.fullmatch(word)] if self._without_numbers else words

    def __len__(self) -> int:
        """Different evaluation texts."""
        return len(self._exact)

    @property
    def digest(self) -> str:
        """Of all that the answers depend on; the order of the texts is none of it."""
        further = [self._jaccard, self._jaccard_n, self._without_numbers]
        is_plain = self._jaccard is None and not self._without_numbers
        return content_digest(self._n, self._share, sorted(self._exact), *([] if is_plain else further))

    def hit(self, text: str) -> bool:
        """The text is one of the evaluation's, holds enough of one, or is like one."""
        if self._form(text) in self._exact:
            return True
        words = self._words(text)
        held = self._inside.held(set(word_grams(words, self._n)))
        if any(count >= self._share * size for count, size in held):
            return True
        if self._jaccard is None:
            return False
        grams = set(word_grams(words, self._jaccard_n))
        return any(count > self._jaccard * (len(grams) + size - count) for count, size in self._alike.held(grams))


def strict_contamination(texts: Iterable[str]) -> Contamination:
    """For instructions of long texts: one 8-gram of an evaluation prompt, or a Jaccard similarity above 0.5 of 5-grams,
    is a hit; numbers are left out, since prompts such as LongWrite-Ruler's are templates with a length. Ours."""
    return Contamination(texts, share=_ANY, jaccard=0.5, without_numbers=True)


class _Holders:
    """Sets of n-grams, looked up by their members."""

    def __init__(self) -> None:
        self._by_gram: dict[str, list[int]] = {}
        self._sizes: list[int] = []

    def add(self, grams: set[str]) -> None:
        """One more set."""
        for gram in grams:
            self._by_gram.setdefault(gram, []).append(len(self._sizes))
        self._sizes.append(len(grams))

    def held(self, grams: set[str]) -> list[tuple[int, int]]:
        """Members in common and size of every set that shares one."""
        counts = Counter[int]()
        for gram in grams:
            counts.update(self._by_gram.get(gram, ()))
        return [(count, self._sizes[place]) for place, count in counts.items()]
