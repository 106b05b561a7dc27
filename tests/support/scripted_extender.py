"""A model for Self-Lengthen that needs no weights: it answers from memory, and extends by one new sentence a paragraph.

Its words come from a counter through a hash, so that no stretch of ten comes twice and nothing compresses. The same
call is answered the same, in whatever order calls come, killed or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lengthctl.pipelines.document_room import Room
from lengthctl.pipelines.step_store import STEPS_FILE, StepStore
from lengthctl.prompts import stable_hash
from lengthctl.records import Completion, FinishReason, read_records
from lengthctl.rollout.backend import Ability, OnCompletion, Request, Sampling, answer_in_turn

DRAFT = "Brief draft:\n"


def new_sentence(paragraph: str, place: int) -> str:
    """About half as long as the paragraph that stands at this place; no other has the same words."""
    words = max(6, len(paragraph.split()) // 2)
    return f"Further {_words(f'{place}|{paragraph}', words - 1)}."


def _words(about: str, count: int) -> str:
    return " ".join(f"w{stable_hash(f'{about}|{i}') % 10**7}" for i in range(count))


class ScriptedExtender:
    """A `Backend`.

    Args:
        memory: the text for an instruction; others are answered by two short paragraphs.
        fail_after: raises KeyboardInterrupt in place of a further answer, as a killed command ends.
    """

    abilities: frozenset[Ability] = frozenset({Ability.PREFILL})

    def __init__(self, memory: Mapping[str, str], fail_after: int | None = None) -> None:
        self._memory = memory
        self._fail_after = fail_after
        self.asked: list[Request] = []

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`."""
        return answer_in_turn(requests, self._answer, on_completion)

    def _answer(self, request: Request) -> Completion:
        if self._fail_after is not None and len(self.asked) >= self._fail_after:
            raise KeyboardInterrupt
        self.asked.append(request)
        message = request.messages[-1]["content"]
        if request.prefill.startswith("Task"):
            text = f" Tell of {_words(message, 5)}."
        elif message.endswith("yes or no only."):
            text = "Yes, it does."
        else:
            text = self._extended(message, request.prefill) if DRAFT in message else self._first(message)
        return Completion(request.id, text, (), (), FinishReason.EOS, reported_tokens=len(text.split()))

    def _first(self, instruction: str) -> str:
        if instruction in self._memory:
            return self._memory[instruction]
        return "\n\n".join(f"{_words(f'{instruction}|{part}', 8)}." for part in range(2))

    def _extended(self, message: str, prefill: str) -> str:
        """Each paragraph of the draft and a sentence more, behind the given beginning, which is of its own making."""
        paragraphs = message.partition(DRAFT)[2].split("\n\n")
        longer = "\n\n".join(f"{text} {new_sentence(text, place)}" for place, text in enumerate(paragraphs))
        assert longer.startswith(prefill.strip()), "the first half was extended as the whole is"
        return longer[len(prefill.strip()) :]

    def close(self) -> None:
        """Nothing to release."""


class ScriptedModels:
    """`Models` whose training is learning rows by heart: a model is a folder with a memory of its data."""

    def __init__(self) -> None:
        self.trainings: list[tuple[str, str]] = []
        self.opened_models: list[str] = []
        self.calls = 0
        self.fail_after: int | None = None
        """Calls over all engines, after which the command is killed."""

    @contextmanager
    def opened(self, model: str, folder: Path) -> Iterator[Room]:
        """See `Models.opened`."""
        file = Path(model) / "memory.json"
        memory = json.loads(file.read_text()) if file.is_file() else {}
        left = None if self.fail_after is None else self.fail_after - self.calls
        backend = ScriptedExtender(memory, left)
        self.opened_models.append(model)
        with StepStore(folder / STEPS_FILE) as store:
            try:
                yield Room(backend, None, [model], Sampling(), store=store, in_flight=3)
            finally:
                self.calls += len(backend.asked)

    def trained(self, model: str, data: Path, folder: Path) -> str:
        """See `Models.trained`."""
        memory = {row["prompt"][-1]["content"]: row["completion"][-1]["content"] for _, row in read_records(data)}
        made = folder / "model"
        if not (made / "memory.json").is_file():
            made.mkdir(parents=True, exist_ok=True)
            (made / "memory.json").write_text(json.dumps(memory))
            self.trainings.append((model, folder.name))
        return str(made)
