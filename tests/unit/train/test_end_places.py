"""Places where a text could end: the same as by decoding everything before each place, in work that grows linearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lengthctl.config import ModelConfig
from lengthctl.models import BUNDLED, LoadedTokenizer, load_tokenizer
from lengthctl.sentences import sentence_ends
from lengthctl.train.end_places import find_end_places

_BUNDLED = ModelConfig(name=BUNDLED, chat_template="chatml")
_SENTENCES = ("Rain fell.", " It was 3.5 km!", "\n\n", ' He said "No."', " e.g. so")
PARTS = (*_SENTENCES, "。", "！", " 🙂🙂", "？」", "…", "鿿", " ")


@pytest.fixture(scope="module")
def tokenizer() -> LoadedTokenizer:
    return load_tokenizer(_BUNDLED)


def by_the_definition(tokenizer: LoadedTokenizer, ids: Sequence[int]) -> tuple[int, ...]:
    """Every prefix decoded whole."""
    text = tokenizer.decode(ids)
    starts = {text[:end] for end in sentence_ends(text)}
    places = {len(ids) - 1}
    for place in range(1, len(ids)):
        piece = tokenizer.decode(ids[place - 1 : place]).rstrip()
        if piece and not piece[-1].isalnum() and tokenizer.decode(ids[:place]).rstrip() in starts:
            places.add(place)
    return tuple(sorted(places))


@given(parts=st.lists(st.sampled_from(PARTS) | st.text(max_size=8), max_size=30))
@settings(deadline=None, max_examples=40)
def test_the_same_places_as_by_the_definition(tokenizer: LoadedTokenizer, parts: list[str]) -> None:
    text = "".join(parts).encode(errors="ignore").decode()
    ids = [*tokenizer.encode(text), tokenizer.stop_token_ids[0]]
    assert find_end_places(tokenizer, ids) == by_the_definition(tokenizer, ids)


class BytePieces:
    """Tokens are bytes, as SentencePiece falls back to them: of a run that is no UTF-8 each becomes a mark. The blank
    in front of a text is not written."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        run = bytes(i for i in ids if i < 256)
        try:
            return run.decode().removeprefix(" ")
        except UnicodeDecodeError:
            return "\ufffd" * len(run)


@given(parts=st.lists(st.sampled_from(PARTS), min_size=5, max_size=30))
@settings(deadline=None, max_examples=40)
def test_a_tokenizer_of_bytes(parts: list[str]) -> None:
    loaded = LoadedTokenizer(BytePieces(), (256,))
    ids = [*"".join(parts).encode(), 256]
    assert find_end_places(loaded, ids) == by_the_definition(loaded, ids)


def test_places_are_behind_whole_sentences(tokenizer: LoadedTokenizer) -> None:
    text = 'Dr. Ray said "No." Then he left at 3.5 km, i.e. soon! Was it so?'
    ids = tokenizer.encode(text) + tokenizer.stop_token_ids[:1]
    places = find_end_places(tokenizer, ids)
    before = [tokenizer.decode(ids[:place]) for place in places]
    assert before == ['Dr. Ray said "No."', 'Dr. Ray said "No." Then he left at 3.5 km, i.e. soon!', text]
    assert places[-1] == len(ids) - 1
    assert find_end_places(tokenizer, [*tokenizer.encode("no end"), 2]) == (2,)


def test_half_a_mark_ends_nothing(tokenizer: LoadedTokenizer) -> None:
    ids = tokenizer.encode("Hi？Yes")
    assert len(tokenizer.encode("？")) > 1
    assert [tokenizer.decode(ids[:place]) for place in find_end_places(tokenizer, ids)] == ["Hi？"]


class Counting:
    """A tokenizer that counts the ids that it decodes."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.ids = inner, 0

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        self.ids += len(ids)
        return str(self.inner.decode(ids, skip_special_tokens=skip_special_tokens))


@pytest.mark.parametrize("sentence", ["Rain fell. ", "!。", "🙂"])
def test_the_work_grows_with_the_tokens(tokenizer: LoadedTokenizer, sentence: str) -> None:
    for tokens in (250, 1000):
        counting = Counting(tokenizer.tokenizer)
        ids = tokenizer.encode(sentence * tokens)[:tokens]
        find_end_places(LoadedTokenizer(counting, (2,)), ids)
        assert counting.ids <= 60 * tokens
