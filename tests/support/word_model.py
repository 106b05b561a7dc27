"""A model of whole words, for tests of controls: sentences of a few words, drawn by the request's seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from lengthctl.models import LoadedTokenizer
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request

EOS = 0
_WORDS = ["Ant", "Bee", "Cat", "Dog", "Elk", "Fox", "Gnu", "Hen", "Ibis", "Jay"]
VOCABULARY = ["</s>", *_WORDS, *(f"{word}." for word in _WORDS), "Wait", "</think>", "Answer:", "\n"]


class WordTokenizer:
    """Ids are words; a text is its words between blanks."""

    all_special_ids = (EOS,)

    def __len__(self) -> int:
        return len(VOCABULARY)

    def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> list[int]:
        return [1 + len(messages)]

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        return [VOCABULARY.index(word) for word in text.replace("\n", " \n ").split(" ") if word]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        return "".join(f" {VOCABULARY[i]}" for i in ids if i != EOS or not skip_special_tokens)


def word_tokenizer() -> LoadedTokenizer:
    return LoadedTokenizer(WordTokenizer(), (EOS,))


class FakeWordModel:
    """A `Backend`: each word ends its sentence with probability 1 / `sentence`, each sentence the text with `end`."""

    abilities = frozenset(Ability)

    def __init__(self, sentence: float = 8, end: float = 0.3) -> None:
        self._sentence, self._end = sentence, end
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        done = [self._draw(request) for request in requests]
        for completion in done:
            if on_completion is not None:
                on_completion(completion)
        return done

    def _draw(self, request: Request) -> Completion:
        self.requests.append(request)
        sampling = request.sampling
        rng = random.Random(f"{request.id}|{sampling.seed}")
        ids: list[int] = []
        while len(ids) < sampling.max_tokens:
            stands = [*request.prompt_ids[1:], *ids]
            at_end = bool(stands) and VOCABULARY[stands[-1]].endswith(".")
            if at_end and len(ids) >= sampling.min_tokens and rng.random() < self._end:
                ids.append(EOS)
                break
            shift = len(_WORDS) if rng.random() < 1 / self._sentence else 0
            ids.append(1 + rng.randrange(len(_WORDS)) + shift)
        finish = FinishReason.EOS if ids and ids[-1] == EOS else FinishReason.LIMIT
        text = WordTokenizer().decode(ids, skip_special_tokens=True)
        return Completion(request.id, text, tuple(ids), tuple(-1.0 for _ in ids), finish)

    def close(self) -> None:
        pass
