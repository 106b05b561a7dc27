"""Any OpenAI-compatible endpoint as a source of completions. Generation only: its weights are not ours to set.

A server that is busy, slow, broken or gone is asked again with growing waits; what it still does not answer is a
completion with a cause, and what was answered has been handed on by then.
"""

from __future__ import annotations

import ipaddress
import json
import math
import os
import random
import threading
import time
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lengthctl.errors import ConfigError, EndpointError, FailureBudgetError, MissingDependencyError, Problem, first_line
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import Ability, OnCompletion, Request, allowed_failures
from lengthctl.rollout.workers import Workers

if TYPE_CHECKING:
    from lengthctl.config import EndpointSection

__all__ = ["EndpointBackend"]

_LARGEST_ANSWER = 64 << 20
"""Bytes of one answer that are read."""
_PASSING = {408, 409, 425, 429}
"""Status codes under 500 that another try may not meet."""


class _Failure(Exception):
    """One try that gave no completion. `status`: what the server said, None where it said nothing usable."""

    def __init__(
        self, cause: str, *, status: int | None = None, is_passing: bool = True, wait_s: float | None = None
    ) -> None:
        super().__init__(cause[:300])
        self.status, self.is_passing, self.wait_s = status, is_passing, wait_s


_Answer = tuple[Completion, _Failure | None]


class EndpointBackend:
    """A `Backend` over `POST /chat/completions`: concurrent, with backoff, deadlines and a bound on what is read.

    Raises:
        ConfigError: the environment variable of the key is not set, and the server is another machine's.
        MissingDependencyError: the openai client is not installed.
    """

    abilities = frozenset({Ability.LOGIT_BIAS, Ability.PREFILL, Ability.TEMPLATE})

    def __init__(self, settings: EndpointSection, failure_budget: float = 0.02) -> None:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise MissingDependencyError("the openai client is not installed", "Run `pip install openai`") from error
        self._settings = settings
        self._failure_budget = failure_budget
        self._key = _read_key(settings)
        self._client = OpenAI(
            base_url=settings.base_url, api_key=self._key or "none", timeout=settings.timeout_s, max_retries=0
        )

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`. Token ids and logprobs stay empty: endpoints do not give them alike."""
        workers = Workers(self._complete, self._settings.concurrency)
        try:
            workers.add(requests)
            return self._collect(workers, on_completion)
        finally:
            workers.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _collect(self, workers: Workers[_Answer], on_completion: OnCompletion | None) -> list[Completion]:
        done: dict[str, Completion] = {}
        failures = 0
        while len(done) < len(workers.order):
            completion, failure = workers.next_answer()
            done[completion.request_id] = completion
            if on_completion is not None:
                workers.add(on_completion(completion) or ())
            if failure is None:
                continue
            failures += 1
            concerns_all = failure.status in (401, 403, 404) and failures == len(done)
            if failures > allowed_failures(self._failure_budget, len(workers.order)) or concerns_all:
                for answered, _ in workers.arrived():  # what is there by now is not lost
                    if on_completion is not None:
                        on_completion(answered)
                self._give_up(failure, failures, len(done), len(workers.order))
        return [done[request_id] for request_id in workers.order]

    def _give_up(self, failure: _Failure, failures: int, answered: int, total: int) -> None:
        url, variable = self._settings.base_url, self._settings.api_key_env
        if failures < answered:
            raise FailureBudgetError(f"{failures} of {total} completions failed, the last with: {failure}")
        if failure.status in (401, 403):
            remedy = f"Check the key in {variable}" if self._key else f"Set {variable or 'endpoint.api_key_env'}"
            raise EndpointError(f"{url} does not let us in ({failure})", remedy)
        if failure.status == 404:
            remedy = "Check endpoint.base_url (up to and with /v1) and endpoint.model"
            raise EndpointError(f"{url} does not know {self._settings.model!r} ({failure})", remedy)
        remedy = "Check endpoint.base_url and that it is running"
        if failure.status is None:
            raise EndpointError(f"{url} does not answer ({failure})", remedy)
        raise EndpointError(f"{url} gives no usable answer ({failure})", remedy)

    def _complete(self, request: Request, stop: threading.Event) -> _Answer:
        """Ask until there is an answer, a lasting cause, or no try left.

        Raises:
            EndpointError: no endpoint can carry it out.
        """
        if request.sampling.rules:
            raise EndpointError("an endpoint cannot apply logit rules", "Choose another control, or a local model")
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return self._ask(request), None
            except _Failure as error:
                failure = error
            is_last = attempt == self._settings.attempts or not failure.is_passing
            if is_last or stop.wait(self._pause(attempt, failure.wait_s)):
                break
        if self._key:  # servers repeat it in what they say of it
            failure.args = (str(failure).replace(self._key, "..."),)
        return Completion(request.id, "", (), (), FinishReason.ERROR, engine="endpoint", error=str(failure)), failure

    def _pause(self, attempt: int, wait_s: float | None) -> float:
        """Seconds before the next try: what the server asked for, else doubling; spread, so that requests that failed
        together do not return together."""
        first, longest = self._settings.backoff_s, self._settings.max_backoff_s
        if wait_s is not None:
            return min(longest, wait_s + random.uniform(0, first))
        return min(longest, first * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1)

    def _ask(self, request: Request) -> Completion:
        """One try.

        Raises:
            _Failure: no usable answer.
        """
        from openai import APIStatusError

        # the client's timeout is for each read: a server that sends a byte now and then would never end
        deadline = time.monotonic() + self._settings.timeout_s
        try:
            with self._client.chat.completions.with_streaming_response.create(**self._body(request)) as response:
                raw = self._read(response.iter_bytes(), deadline)
        except _Failure:
            raise
        except APIStatusError as error:
            code = int(error.status_code)
            is_passing = code >= 500 or code in _PASSING
            wait_s = _seconds(error.response.headers.get("retry-after"))
            raise _Failure(first_line(error), status=code, is_passing=is_passing, wait_s=wait_s) from error
        except UnicodeError as error:
            raise _Failure(f"the prompt is no text ({first_line(error)})", is_passing=False) from error
        except Exception as error:  # the client's, and of httpx or httpx2 by its version: no common base
            detail = f" ({first_line(error.__cause__)})" if error.__cause__ is not None else ""
            raise _Failure(first_line(error) + detail) from error
        return _parse(request.id, raw)

    def _body(self, request: Request) -> dict[str, Any]:
        sampling, messages = request.sampling, [dict(m) for m in request.messages]
        if request.prefill:
            messages.append({"role": "assistant", "content": request.prefill})
        body: dict[str, Any] = {
            "model": self._settings.model,
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.logit_bias:  # servers take -100 to 100
            body["logit_bias"] = {str(token): max(-100.0, min(100.0, b)) for token, b in sampling.logit_bias.items()}
        # not of the original interface: sent only when asked for, and refused by servers that do not know them
        extra = {
            "top_k": sampling.top_k,
            "min_tokens": sampling.min_tokens,
            "stop_token_ids": list(sampling.stop_token_ids),
            "chat_template_kwargs": dict(request.template_values),
        }
        more: dict[str, Any] = {name: value for name, value in extra.items() if value}
        if sampling.repetition_penalty != 1.0:
            more["repetition_penalty"] = sampling.repetition_penalty
        if request.prefill:  # as vLLM's server knows it: the last message is not over
            more |= {"continue_final_message": True, "add_generation_prompt": False}
        if more:
            body["extra_body"] = more
        return body

    def _read(self, chunks: Iterable[bytes], deadline: float) -> bytes:
        raw = bytearray()
        for chunk in chunks:
            raw += chunk
            if len(raw) > _LARGEST_ANSWER:
                raise _Failure(f"the answer is larger than {_LARGEST_ANSWER >> 20} MiB", is_passing=False)
            if time.monotonic() > deadline:
                raise _Failure(f"no whole answer within {self._settings.timeout_s:g} s")
        return bytes(raw)


def _read_key(settings: EndpointSection) -> str:
    """The key, or "" for a server that needs none."""
    variable = settings.api_key_env
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()  # a line end after a key is common, and no header takes it
    if not key and not _is_this_machine(settings.base_url):
        problem = Problem("endpoint.api_key_env", f"the environment variable {variable} is not set")
        remedy = f"Set {variable} to your key, or api_key_env to the variable that holds it (null: no key is needed)"
        raise ConfigError(settings.base_url, [problem], remedy)
    return key


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After`, seconds or a date, as seconds from now, at least 0; None where it says nothing."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _parse(request_id: str, raw: bytes) -> Completion:
    """The completion of an answer.

    Raises:
        _Failure: the answer is cut off, no JSON, or holds no text.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _Failure(f"the answer is no JSON: {raw[:60]!r}", status=200) from error
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if choice is None or not isinstance(message, dict):
        told = f": {body['error']}" if isinstance(body, dict) and body.get("error") else ""
        raise _Failure(f"the answer holds no message{told}", status=200)
    text = message.get("content") or message.get("refusal") or ""
    if not isinstance(text, str):
        raise _Failure(f"the answer's content is no text but {type(text).__name__}", status=200)
    if choice.get("finish_reason") == "content_filter":
        raise _Failure("the endpoint's filter held the text back", status=200, is_passing=False)
    finish = FinishReason.LIMIT if choice.get("finish_reason") == "length" else FinishReason.EOS
    # half a surrogate pair is valid JSON, and no file would take it
    text = text.encode("utf-8", "replace").decode()
    return Completion(
        request_id,
        text,
        (),
        (),
        finish,
        engine="endpoint",
        reported_tokens=_used(body.get("usage"), "completion_tokens"),
        reported_prompt_tokens=_used(body.get("usage"), "prompt_tokens"),
    )


def _used(usage: Any, what: str) -> int:
    """Tokens that a server tells of; 0 where it tells none that can be."""
    tokens = usage.get(what) if isinstance(usage, dict) else None
    return tokens if type(tokens) is int and tokens > 0 else 0
