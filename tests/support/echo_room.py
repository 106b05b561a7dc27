"""A backend whose texts follow from what is asked, and documents of several calls to be made over it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lengthctl.decode.flow import Call, Flow, FlowFailedError
from lengthctl.pipelines.document_room import Document, Room, RoomReport, run_documents
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request, Sampling

Result = str | FlowFailedError


def call(name: str, content: str = "go", **options: Any) -> Call:
    return Call(name, ({"role": "user", "content": content},), **{"max_tokens": 16, **options})


class Echo:
    """Each text follows from what was asked and from its seed. `pick` chooses, by how many requests wait, which one is
    answered next; `fails` tells why one has no text."""

    abilities = frozenset(Ability)

    def __init__(
        self,
        pick: Callable[[int], int] = lambda waiting: 0,
        fails: Callable[[Request], str | None] = lambda request: None,
    ) -> None:
        self._pick, self._fails = pick, fails
        self.asked: list[Request] = []
        self.most_waiting = 0
        self.calls = 0

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        self.calls += 1
        waiting, done = list(requests), {}
        while waiting:
            self.most_waiting = max(self.most_waiting, len(waiting))
            request = waiting.pop(self._pick(len(waiting)))
            self.asked.append(request)
            done[request.id] = completion = self._answer(request)
            waiting += (on_completion(completion) if on_completion else None) or ()
        return list(done.values())

    def _answer(self, request: Request) -> Completion:
        if (error := self._fails(request)) is not None:
            return Completion(request.id, "", (), (), FinishReason.ERROR, error=error)
        drawn = random.Random(f"{request.messages}|{request.prefill}|{request.sampling.seed}")
        text = f"{drawn.randrange(10**6)} of {request.messages[-1]['content'][:30]}"
        return Completion(request.id, text, tuple(range(5)), (), FinishReason.EOS)

    def close(self) -> None:
        pass


def story(parts: int) -> Flow[str]:
    """A plan, then parts one after the other, then two versions of an end at once."""
    (plan,) = yield [call("plan/0", f"plan {parts}")]
    text = plan.text
    for part in range(parts):
        (written,) = yield [call(f"write/{part}", f"{text}\nwrite {part}")]
        text += f"\n{written.text}"
    one, two = yield [call("end/0", text), call("end/1", text)]
    return f"{text}\n{one.text}\n{two.text}"


def stories(count: int) -> list[Document[str]]:
    return [Document(f"doc {i}", partial(story, i % 4)) for i in range(count)]


def room(backend: Any, **options: Any) -> Room:
    return Room(backend, None, ["fake", 1], Sampling(temperature=0.5), **{"seed": 3, "in_flight": 4, **options})


def made(documents: Any, room: Room, *, ordered: bool = False) -> tuple[dict[str, Result], RoomReport]:
    results: dict[str, Result] = {}

    def told(document: Document[str], result: Result) -> None:
        assert document.id not in results
        results[document.id] = result

    report = run_documents(documents, room, on_result=told, ordered=ordered)
    return results, report


def one_at_a_time(count: int) -> dict[str, Result]:
    return made(stories(count), room(Echo(), in_flight=1))[0]


def single() -> Flow[str]:
    (answer,) = yield [call("one")]
    return answer.text
