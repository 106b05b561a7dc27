"""Quality by a judge: any backend answers, verdicts are kept on disk, what cannot be read is counted, not scored."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lengthctl.errors import FailureBudgetError
from lengthctl.evaluate.judge_items import Form, Item, JudgeItem
from lengthctl.judging import is_refusal
from lengthctl.records import Completion, FinishReason, RecordWriter, read_records
from lengthctl.rollout.backend import Backend, Request, Sampling, allowed_failures, request_seed

if TYPE_CHECKING:
    from lengthctl.config import Config, JudgeConfig
    from lengthctl.models import LoadedTokenizer

__all__ = ["Judge", "JudgeItem", "JudgeStatus", "Judgement", "Verdict", "judge_context", "judge_source"]

Asked = TypeVar("Asked", bound=Form)

_MOST_FAILED = 0.05
"""Share of texts without a verdict from which on the mean of the others says nothing [ours]."""
_RETRY_TEMPERATURE = 0.5
"""At 0 a second try would repeat the first. LongBench-Write's judge draws at 0.5."""


class JudgeStatus(StrEnum):
    """What came of asking for a verdict."""

    OK = "ok"
    """There are grades."""
    PARSE_ERROR = "parse_error"
    """The judge answered each time, and no answer held all grades."""
    REFUSED = "refused"
    """Instead of the last verdict there was a refusal."""
    ERROR = "error"
    """The backend gave no answer."""


@dataclass(frozen=True)
class Verdict:
    """What the judge made of one text; `scores` are empty and `cause` is told unless the status is ok."""

    status: JudgeStatus
    scores: Mapping[str, float]
    raw: str
    """The judge's own words, the last ones where it was asked again."""
    attempts: int
    cause: str | None = None


@dataclass(frozen=True)
class Judgement:
    """Verdicts by item, and what it took."""

    verdicts: Mapping[str, Verdict]
    asked: int
    """Requests made in this call."""
    cached: int
    """Items whose verdict was on disk."""

    @property
    def counts(self) -> dict[str, int]:
        """Items by status, all four."""
        found = Counter(verdict.status for verdict in self.verdicts.values())
        return {str(status): found[status] for status in JudgeStatus}

    @property
    def is_valid(self) -> bool:
        """At most 5 % of the items are without grades."""
        return len(self.verdicts) - self.counts["ok"] <= _MOST_FAILED * len(self.verdicts)

    @property
    def line(self) -> str:
        """The result for people, e.g. `verdicts: 97 of 100 ok, 2 parse_error, 1 refused; 40 from disk`."""
        parts = [f"{n} {status}" for status, n in self.counts.items() if n and status != "ok"]
        told = ", ".join([f"{self.counts['ok']} of {len(self.verdicts)} ok", *parts])
        fault = "" if self.is_valid else f"; more than {_MOST_FAILED:.0%} failed: the quality is not valid"
        return f"verdicts: {told}; {self.cached} from disk{fault}"

    def check_answered(self) -> None:
        """For data, from which a text without grades is left out: not because the judge was away.

        Raises:
            FailureBudgetError: the backend gave no answer for more than 5 % of the items, and for more than one.
        """
        failed = [v for v in self.verdicts.values() if v.status is JudgeStatus.ERROR and v.attempts]
        if len(failed) > allowed_failures(_MOST_FAILED, len(self.verdicts)):
            raise FailureBudgetError(
                f"the judge did not answer for {len(failed)} of {len(self.verdicts)} texts, the last: "
                f"{failed[-1].cause}",
                "Mend the cause and run it again: verdicts so far are kept",
            )

    def to_row(self) -> dict[str, Any]:
        """A JSON object for a summary."""
        return {**self.counts, "asked": self.asked, "cached": self.cached, "is_valid": self.is_valid, "line": self.line}


class Judge(Generic[Asked]):
    """Grades texts by a rubric, or compares pairs of them.

    The file of verdicts is read once, at the first call.

    Args:
        settings: attempts, temperature, limit, cache and the judge's name.
        backend: what answers; the caller closes it.
        rubric: what is asked.
        tokenizer: of the judge, for backends that read `prompt_ids`.
        context_tokens: longer conversations, limit included, are not asked and fail; None: no bound.
        seed: every attempt at every text has one of its own, drawn from this.
    """

    def __init__(
        self,
        settings: JudgeConfig,
        backend: Backend,
        rubric: Asked,
        *,
        tokenizer: LoadedTokenizer | None = None,
        context_tokens: int | None = None,
        seed: int = 0,
    ) -> None:
        self._settings = settings
        self._backend = backend
        self.rubric = rubric
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._seed = seed
        self._kept: dict[str, Verdict] | None = None

    def judge(self, items: Sequence[Item], tick: Callable[[int], None] | None = None) -> Judgement:
        """A verdict for every item; equal texts under equal requests are judged once.

        Args:
            items: ids are unique.
            tick: told how many answers there are.

        Raises:
            DataError: the cache is no JSONL file.
            EndpointError, EngineError, FailureBudgetError: the judge is gone; verdicts so far are in the cache.
        """
        keys = {item.id: self._key(item) for item in items}
        kept = self._kept = self._read_cache() if self._kept is None else self._kept
        found = {key: kept[key] for key in keys.values() if key in kept}
        cached = sum(key in found for key in keys.values())
        todo = {keys[item.id]: item for item in reversed(items) if keys[item.id] not in found}
        asked = 0
        with RecordWriter(Path(self._settings.cache)) if self._settings.cache else nullcontext() as file:
            for attempt in range(1, self._settings.attempts + 1):
                requests = self._requests(todo, attempt, found)
                shown = {request.id: request.messages[-1]["content"] for request in requests}

                def see(completion: Completion, attempt: int = attempt, shown: dict[str, str] = shown) -> None:
                    nonlocal asked
                    asked += 1
                    key = completion.request_id.partition("#")[0]
                    found[key] = self._read(completion, shown[completion.request_id], attempt)
                    if file is not None and self._is_final(found[key]):
                        kept[key] = found[key]
                        file.write({"key": key, "judge": self._settings.model_name, **asdict(found[key])})
                    if tick is not None:
                        tick(asked)

                if requests:
                    self._backend.generate(requests, see)
                todo = {key: item for key, item in todo.items() if not self._is_final(found[key])}
                todo = {key: item for key, item in todo.items() if found[key].status is not JudgeStatus.ERROR}
        return Judgement({item.id: found[keys[item.id]] for item in items}, asked, cached)

    def _key(self, item: Item) -> str:
        """All that the verdict depends on, but for the seed. The judge is known by its name, wherever it runs."""
        settings = self._settings
        limits = [settings.temperature, settings.max_tokens]
        parts = [settings.model_name, *limits, self.rubric.digest, *item.parts]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _is_final(self, verdict: Verdict) -> bool:
        """Asking again would be for nothing. A backend's errors pass: they are never kept."""
        if verdict.status is JudgeStatus.ERROR:
            return False
        return verdict.status is JudgeStatus.OK or verdict.attempts >= self._settings.attempts

    def _read_cache(self) -> dict[str, Verdict]:
        path = None if self._settings.cache is None else Path(self._settings.cache)
        if path is None or not path.exists():
            return {}
        found = {}
        for _, row in read_records(path, allow_torn_tail=True):
            verdict = _verdict_of(row, self.rubric)
            if verdict is not None and self._is_final(verdict):
                found[str(row["key"])] = verdict
        return found

    def _requests(self, todo: Mapping[str, Item], attempt: int, found: dict[str, Verdict]) -> list[Request]:
        """One request an item; items that do not fit the judge's context get their verdict here."""
        hotter = self._settings.temperature if attempt == 1 else max(self._settings.temperature, _RETRY_TEMPERATURE)
        requests = []
        for key, item in todo.items():
            message = {"role": "user", "content": self.rubric.message(item.parts)}
            ids = self._tokenizer.prompt_ids([message]) if self._tokenizer is not None else ()
            needed = len(ids) + self._settings.max_tokens
            if self._context_tokens is not None and needed > self._context_tokens:
                cause = f"{needed} tokens with the limit, but the judge's context has {self._context_tokens}"
                found[key] = Verdict(JudgeStatus.ERROR, {}, "", 0, cause)
                continue
            name = f"{key}#{attempt - 1}"
            sampling = Sampling(
                temperature=hotter, max_tokens=self._settings.max_tokens, seed=request_seed(self._seed, name)
            )
            requests.append(Request(name, ids, sampling, (message,), group=item.id))
        return requests

    def _read(self, completion: Completion, message: str, attempt: int) -> Verdict:
        if completion.finish is FinishReason.ERROR:
            return Verdict(JudgeStatus.ERROR, {}, "", attempt, completion.error)
        try:
            scores = self.rubric.read(completion.text, message)
        except ValueError as error:
            status = JudgeStatus.REFUSED if is_refusal(completion.text) else JudgeStatus.PARSE_ERROR
            return Verdict(status, {}, completion.text, attempt, str(error))
        return Verdict(JudgeStatus.OK, scores, completion.text, attempt)


def judge_source(config: Config) -> Config:
    """The config with the judge in the place of the sampled model, for `rollout.open.open_backend`.

    Raises:
        ValueError: the config has no `judge`.
    """
    judge = config.judge
    if judge is None:
        raise ValueError("the config has no judge")
    source = {"backend": judge.backend, "endpoint": judge.endpoint, "script": judge.script}
    source |= {key: value for key in ("engines", "threads", "gpus") if (value := getattr(judge, key)) is not None}
    own = {"failure_budget": _MOST_FAILED, "max_model_len": None, "reward_stop": "off", "reproducible": True}
    rollout = config.rollout.model_copy(update={**source, **own})
    return config.model_copy(update={"rollout": rollout, "model": judge.model or config.model})


def judge_context(settings: JudgeConfig, rubric: Form, tokenizer: LoadedTokenizer, items: Sequence[Item]) -> int:
    """Context for a local judge, in tokens: the longest conversation and its limit, as far as the model goes."""
    from lengthctl.config import ModelConfig
    from lengthctl.models import context_length

    messages = ([{"role": "user", "content": rubric.message(item.parts)}] for item in items)
    needed = max((len(tokenizer.prompt_ids(message)) for message in messages), default=0) + settings.max_tokens
    room = context_length(settings.model or ModelConfig())
    return needed if room is None else min(needed, room)


def _verdict_of(row: Mapping[str, Any], rubric: Form) -> Verdict | None:
    """A verdict of the cache; None for a record that is none, or of another rubric."""
    try:
        verdict = Verdict(
            JudgeStatus(row["status"]), dict(row["scores"]), str(row["raw"]), int(row["attempts"]), row.get("cause")
        )
    except (KeyError, TypeError, ValueError):
        return None
    is_right = set(verdict.scores) == set(rubric.names) if verdict.status is JudgeStatus.OK else not verdict.scores
    return verdict if is_right and "key" in row else None
