"""Which texts have been seen: exactly after normalisation, or nearly by MinHash. Streaming; bounded memory a text."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from lengthctl.data_gen.filters import DropReason
from lengthctl.normal_text import content_digest, normal_form, normal_words, word_grams

__all__ = ["BYTES_PER_TEXT", "Fingerprint", "NearDuplicates"]

BYTES_PER_TEXT = 2700
"""Memory of each kept text, however long: 2,490 in the index of rensa 0.5.0 (20,000 texts) and a set's entry."""

_HASHES = 128
_BANDS, _LOW_BANDS = 16, 32
"""With 16 bands, texts of the similarity 0.8 share one with a probability of 95 %, of 0.9 with over 99.9 %; with 32, of
0.5 with 87 %, of 0.7 with over 99.9 %."""
_LOW_THRESHOLD = 0.75
"""Below it, 32 bands."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a text to know it again; plain strings, about 950 bytes, that a record can hold."""

    exact: str
    """Digest of the normal form."""
    sketch: str | None
    """MinHash of the word shingles, in base64; None for texts shorter than a shingle, which are only compared whole."""


class NearDuplicates:
    """Tells texts that it has seen. Two are near when the Jaccard similarity of their word shingles, estimated from 128
    hashes (standard error 0.035 at 0.8), reaches the threshold; LSH finds the candidates.

    The first of near texts is kept, so the order in which they come decides: give them in an order of your own choice.
    The same texts in the same order and the same seed give the same answers, on every machine.

    Args:
        threshold: in (0, 1].
        shingle: words of a shingle, at least 1.
        seed: of the hashes, 0 to 2**64 - 1.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(self, *, threshold: float = 0.8, shingle: int = 5, seed: int = 0) -> None:
        if not 0 < threshold <= 1 or shingle < 1:
            raise ValueError(f"needs 0 < threshold <= 1 and shingle >= 1, found {threshold} and {shingle}")
        from rensa import RMinHashDeduplicator  # type: ignore[import-untyped]

        self._shingle = shingle
        self._seed = seed
        self._seen: set[int] = set()
        bands = _BANDS if threshold >= _LOW_THRESHOLD else _LOW_BANDS
        self._index = RMinHashDeduplicator(threshold, _HASHES, use_lsh=True, num_bands=bands, seed=seed)

    def __len__(self) -> int:
        """Texts kept."""
        return len(self._seen)

    def fingerprint(self, text: str, *, whole: str | None = None) -> Fingerprint:
        """Of a text; `whole`: what has to be equal for an exact duplicate, where that is more than the text."""
        exact = content_digest(normal_form(text if whole is None else whole))
        words = normal_words(text)
        if len(words) < self._shingle:
            return Fingerprint(exact, None)
        sketch = self._new_sketch()
        sketch.update(list(word_grams(words, self._shingle)))
        _, _, state = sketch.__reduce__()
        return Fingerprint(exact, base64.b64encode(state).decode())

    def check(self, found: Fingerprint) -> DropReason | None:
        """Why it is a duplicate of a kept text; None for a new one, which is kept."""
        reason = self.find(found)
        if reason is None:
            self.keep(found)
        return reason

    def find(self, found: Fingerprint) -> DropReason | None:
        """Why it is a duplicate of a kept text; None for a new one, which is not kept."""
        if int(found.exact, 16) in self._seen:
            return DropReason.EXACT_DUPLICATE
        sketch = self._sketch_of(found)
        return DropReason.NEAR_DUPLICATE if sketch is not None and self._index.get_duplicates(sketch) else None

    def keep(self, found: Fingerprint) -> None:
        """Know a text that `find` found new."""
        sketch = self._sketch_of(found)
        if sketch is not None:
            self._index.add(found.exact, sketch)
        self._seen.add(int(found.exact, 16))

    def seen(self, text: str) -> DropReason | None:
        """`check` of the text's fingerprint."""
        return self.check(self.fingerprint(text))

    def _sketch_of(self, found: Fingerprint) -> Any:
        if found.sketch is None:
            return None
        sketch = self._new_sketch()
        sketch.__setstate__(base64.b64decode(found.sketch))
        return sketch

    def _new_sketch(self) -> Any:
        from rensa import RMinHash

        return RMinHash(_HASHES, self._seed)
