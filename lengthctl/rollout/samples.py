"""The requests of one `generate` call on their way: who holds them, what they have so far, what they became."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Request, Sampling
from lengthctl.rollout.engine_actor import Event
from lengthctl.rollout.prediction import LengthPredictor
from lengthctl.rollout.scheduler import Assignment, Scheduler
from lengthctl.rollout.stopping import StopPolicy

__all__ = ["HandedOut", "RunningCall", "Submission"]

_ATTEMPTS = 5
"""Times that a request may lose its engine before it counts as the cause."""

_FINISHES = {"stop": FinishReason.EOS, "length": FinishReason.LIMIT}

Submission = tuple[str, tuple[int, ...], dict[str, Any]]
"""What an engine is sent: key, prompt ids, sampling fields."""


def _engine_fields(sampling: Sampling, told: int) -> dict[str, Any]:
    """Sampling as the engine takes it, of a request that has `told` tokens of its answer at the end of its prompt."""
    fields = asdict(sampling)
    fields["min_tokens"] = max(0, sampling.min_tokens - told)
    fields["logit_bias"] = fields["logit_bias"] or None
    rules = fields.pop("rules")
    fields["extra_args"] = {"lengthctl": {"rules": rules, "told": told}} if rules else None
    return fields


@dataclass(frozen=True)
class HandedOut:
    """What engines are to be told, each by its key."""

    submissions: dict[str, list[Submission]] = field(default_factory=dict)
    aborts: dict[str, list[str]] = field(default_factory=dict)
    """Keys of requests that go on elsewhere."""


@dataclass
class _Sample:
    request: Request
    key: str = ""
    """Names the attempt: events of an earlier one do not match it."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    restarts: int = 0
    stopped_at: int | None = None


class RunningCall:
    """One call's samples; every token that was reported stays here, so a lost engine costs only what it had not told.

    Args:
        requests: with distinct ids; `add` takes further ones in.
        name: distinguishes the keys of this call from those of earlier ones.
        version: weight version that every engine holds.
        predictor: learns from each completion.
        decode: token ids to text.
        stop: ends completions whose reward cannot change any more; None lets all run to their end.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        *,
        name: str,
        version: int,
        predictor: LengthPredictor,
        decode: Callable[[Sequence[int]], str],
        stop: StopPolicy | None = None,
    ) -> None:
        self._stop = stop
        self._name = name
        self._version = version
        self._predictor = predictor
        self._decode = decode
        self._samples: dict[str, _Sample] = {}
        self._ids: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._done: dict[str, Completion] = {}
        self.failures = 0
        """Completions that ended in an error."""
        self.moved = 0
        """Times that a running request went over to another engine."""
        self.scheduler = Scheduler(predictor.expect)
        self.add(requests)

    def add(self, requests: Iterable[Request]) -> None:
        """Further requests, which wait from now on.

        Raises:
            ValueError: an id that the call has.
        """
        new = list(requests)
        self.scheduler.submit(new)
        self._samples.update((request.id, _Sample(request)) for request in new)

    @property
    def total(self) -> int:
        """Requests so far."""
        return len(self._samples)

    @property
    def is_open(self) -> bool:
        """Something still waits or runs."""
        return len(self._done) < len(self._samples)

    def completions(self) -> list[Completion]:
        """In the order of the requests, added ones behind the first; all of them once `is_open` is false."""
        return [self._done[request_id] for request_id in self._samples]

    def add_engine(self, key: str, label: str, slots: int) -> None:
        """An engine that may take work; `label` is its name in the records."""
        self._labels[key] = label
        self.scheduler.add_engine(key, slots)

    def hand_out(self, idle: Collection[str] = (), *, awaited: bool = False) -> HandedOut:
        """What each engine is to be sent and to drop. A request that lost or leaves its engine goes on from the
        tokens it has.

        Args:
            idle: engines that are not stepping: requests may move from them.
            awaited: another engine will come soon.
        """
        out = HandedOut()
        for made in self.scheduler.assign(awaited=awaited):
            out.submissions.setdefault(made.engine, []).append(self._submission(made))
        for move in self.scheduler.rebalance(idle):
            self.moved += 1
            former = self._samples[move.assignment.request.id].key
            out.aborts.setdefault(move.giver, []).append(former)
            out.submissions.setdefault(move.assignment.engine, []).append(self._submission(move.assignment))
        return out

    def _submission(self, made: Assignment) -> Submission:
        sample = self._samples[made.request.id]
        sample.key = f"{self._name}/{made.request.id}/{made.attempt}"
        self._ids[sample.key] = made.request.id
        sampling = made.request.sampling
        told = len(sample.token_ids)
        left = replace(sampling, max_tokens=sampling.max_tokens - told)
        if sampling.seed is not None:
            left = replace(left, seed=sampling.seed + told)  # else the numbers of its beginning would be drawn again
        return sample.key, (*made.request.prompt_ids, *sample.token_ids), _engine_fields(left, told)

    def apply(self, engine: str, event: Event) -> Completion | None:
        """Take in what an engine told; the completion, if the event ends one. Late events are dropped."""
        sample = self._samples.get(self._ids.get(event.request_id, ""))
        if sample is None or sample.key != event.request_id or sample.request.id in self._done:
            return None
        sample.token_ids.extend(event.token_ids)
        sample.logprobs.extend(event.logprobs)
        self.scheduler.progress(sample.request.id, len(event.token_ids))
        if event.finish is None:
            spent = self._is_spent(sample)
            return self._end(sample, engine, FinishReason.REWARD_CEILING, None) if spent else None
        finish = _FINISHES.get(event.finish, FinishReason.ERROR)
        error = f"the engine: {event.finish}" if finish is FinishReason.ERROR else None
        return self._end(sample, engine, finish, error)

    def _is_spent(self, sample: _Sample) -> bool:
        """Nothing more can be earned, and the policy is to stop then. Looked at once a poll, so a stop comes late by
        the tokens of a poll at most."""
        target = sample.request.target
        if self._stop is None or target is None or sample.stopped_at is not None:
            return False
        if self._stop.is_spent(self._decode(sample.token_ids), target):
            sample.stopped_at = len(sample.token_ids)
        return sample.stopped_at is not None and not self._stop.only_measure

    def lose_engine(self, engine: str, cause: str) -> list[Completion]:
        """Its requests wait again. Those that it had finished without telling, and those that lost engine after
        engine, end here and are returned."""
        ended = []
        if engine not in self._labels:
            return []
        for request_id in self.scheduler.lose_engine(engine):
            sample = self._samples[request_id]
            sample.restarts += 1
            sample.key = ""
            if len(sample.token_ids) >= sample.request.sampling.max_tokens:
                ended.append(self._end(sample, engine, FinishReason.LIMIT, None))
            elif sample.restarts >= _ATTEMPTS:
                error = f"lost its engine {sample.restarts} times, the last: {cause}"
                ended.append(self._end(sample, engine, FinishReason.ERROR, error))
        return ended

    def held_by(self, engine: str) -> list[str]:
        """Keys of what runs on an engine."""
        return [self._samples[i].key for i in self.scheduler.running(engine)] if engine in self._labels else []

    def _end(self, sample: _Sample, engine: str, finish: FinishReason, error: str | None) -> Completion:
        request = sample.request
        self.scheduler.close(request.id)
        completion = Completion(
            request_id=request.id,
            text=self._decode(sample.token_ids),
            token_ids=tuple(sample.token_ids),
            logprobs=tuple(sample.logprobs),
            finish=finish,
            weight_version=self._version,
            engine=self._labels[engine],
            error=error,
            stopped_at=sample.stopped_at,
        )
        self._done[request.id] = completion
        if error is None:
            self._predictor.observe(request, len(sample.token_ids))
        else:
            self.failures += 1
        sample.token_ids, sample.logprobs = [], []  # the completion has them: a long call holds them once
        return completion
