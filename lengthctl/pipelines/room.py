"""A document to be made by several calls, and the room in which many are made at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lengthctl.decode.calls import task_of
from lengthctl.decode.control import Control
from lengthctl.decode.flow import Call, Flow
from lengthctl.decode.plain import Plain
from lengthctl.models import LoadedTokenizer
from lengthctl.pipelines.journal import digest
from lengthctl.pipelines.room_estimate import Prices
from lengthctl.pipelines.step_store import STEPS_VERSION, StepStore
from lengthctl.rollout.backend import Backend, Sampling

if TYPE_CHECKING:
    from lengthctl.progress import Narrator

__all__ = ["Document", "Room", "overflow_of"]

R = TypeVar("R")

_OVERFLOW = re.compile(
    r"context[ _](length|size|window)|maximum context|max(imum)?[ _]model[ _]len|prompt is too long", re.IGNORECASE
)
"""How vLLM and servers tell that a conversation is longer than the model takes."""


@dataclass(frozen=True)
class Document(Generic[R]):
    """One piece of work; its calls are known by `id` and their names, so both are the same in every start."""

    id: str
    """Distinct."""
    flow: Callable[[], Flow[R]]
    """Begins it anew; the same answers give the same calls and the same result."""
    key_parts: tuple[Any, ...] = ()
    """What its answers depend on beyond the calls themselves; anything that JSON can write."""


@dataclass(frozen=True)
class Room:
    """What documents are made with.

    Raises:
        ValueError: `in_flight` below 1, or a budget outside [0, 1].
    """

    backend: Backend
    tokenizer: LoadedTokenizer | None
    """Of the model; None with an endpoint."""
    source: Sequence[Any]
    """What tells this model from others (`journal.source_identity`)."""
    sampling: Sampling
    """Of calls; each brings its own limit, and its temperature where it is another."""
    seed: int = 0
    """From which each call's own seed is drawn, by its name."""
    store: StepStore | None = None
    """Keeps answers; None keeps none."""
    control: Control | None = None
    """For calls with a target that it does not refuse; None: they are left alone."""
    in_flight: int = 16
    """Documents at once."""
    failure_budget: float = 0.1
    """Share of the documents, 0 to 1, that may come to nothing; one may in any case, but with 0."""
    setback_budget: float | None = None
    """The same for documents that failed by what was written, where `failure_budget` shall count errors of the backend
    alone; None: it counts both."""
    narrator: Narrator | None = None
    context_tokens: int | None = None
    """Longest conversation, limit included; None: not known here."""
    prices: Prices | None = None

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ValueError(f"in_flight is at least 1, found {self.in_flight}")
        for budget in (self.failure_budget, self.setback_budget):
            if budget is not None and not 0 <= budget <= 1:
                raise ValueError(f"a failure budget lies between 0 and 1, found {budget}")

    @property
    def model_name(self) -> str | None:
        """What writes, for a card: the endpoint's model, a hub id, or of a folder its last name (of a trained model the
        run's), so that no path of a machine is told; None where `source` tells none."""
        if self.source and self.source[0] == "scripted":
            return None
        section = next((part for part in self.source if isinstance(part, Mapping) and part.get("name")), None)
        if section is None:
            return self.source[-1] if self.source and isinstance(self.source[-1], str) else None
        path = Path(str(section["name"]))
        if not path.is_absolute():
            return str(section["name"])
        return path.parent.name if path.name == "model" else path.name

    def control_of(self, call: Call) -> Control:
        """What steers the call: the room's control where it has a target that this takes."""
        control = self.control
        return Plain() if control is None or call.target is None or control.refuses(call.target) else control

    def key(self, document: Document[Any], call: Call) -> str:
        """16 hex digits of all that the call's answer depends on."""
        temperature = self.sampling.temperature if call.temperature is None else call.temperature
        sampling = replace(self.sampling, max_tokens=call.max_tokens, temperature=temperature)
        target = None if call.target is None else call.target.to_row()
        asked = [call.name, [dict(m) for m in call.messages], call.prefill, target, repr(self.control_of(call))]
        room = [STEPS_VERSION, list(self.source), self.seed, asdict(sampling)]
        return digest(room, document.id, list(document.key_parts), asked)

    def prompt_tokens(self, call: Call) -> int:
        """What a backend reads for the call, prefill included; 0 where there is no tokenizer."""
        if self.tokenizer is None:
            return 0
        prefill = len(self.tokenizer.encode(call.prefill)) if call.prefill else 0
        return len(self.tokenizer.prompt_ids([dict(m) for m in call.messages])) + prefill

    def does_not_fit(self, call: Call, prompt_tokens: int) -> str | None:
        """How far a call exceeds the context; None where it fits, or no context is known."""
        if self.context_tokens is None:
            return None
        needed = prompt_tokens + self.control_of(call).room(task_of(call, call.name), call.max_tokens)
        if needed <= self.context_tokens:
            return None
        return (
            f"{call.name}: a prompt of {prompt_tokens} tokens and a text of {call.max_tokens} need {needed}, the "
            f"context has {self.context_tokens}"
        )


def overflow_of(error: str | None) -> str | None:
    """A backend's error where it says that a conversation is too long; else None."""
    return error if error is not None and _OVERFLOW.search(error) else None
