"""Any OpenAI-compatible endpoint as a source of completions. Generation only: its weights are not ours to set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from lengthctl.errors import EndpointError, FailureBudgetError, MissingDependencyError
from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import OnCompletion, Request, allowed_failures

if TYPE_CHECKING:
    from lengthctl.config import EndpointSection

__all__ = ["EndpointBackend"]


class EndpointBackend:
    """A `Backend` over `POST /chat/completions`, concurrent, with the client's own retries and backoff.

    Raises:
        MissingDependencyError: the openai client is not installed.
    """

    def __init__(self, settings: EndpointSection, failure_budget: float = 0.02) -> None:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise MissingDependencyError("the openai client is not installed", "Run `pip install openai`") from error
        self._settings = settings
        self._failure_budget = failure_budget
        self._client = OpenAI(
            base_url=settings.base_url,
            api_key=os.environ.get(settings.api_key_env, "none"),
            timeout=settings.timeout_s,
            max_retries=3,
        )

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """See `Backend.generate`. Token ids and logprobs stay empty: endpoints do not give them alike."""
        done: dict[str, Completion] = {}
        failures = 0
        allowed = allowed_failures(self._failure_budget, len(requests))
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            futures = {pool.submit(self._complete, request): request for request in requests}
            for future in as_completed(futures):
                completion = future.result()
                done[completion.request_id] = completion
                failures += completion.finish is FinishReason.ERROR
                if on_completion is not None:
                    on_completion(completion)
                if failures > allowed:
                    pool.shutdown(wait=False, cancel_futures=True)
                    self._give_up(failures, len(requests), completion.error, len(done))
        return [done[request.id] for request in requests]

    def _give_up(self, failures: int, total: int, cause: str | None, answered: int) -> None:
        if failures == answered:
            raise EndpointError(
                f"{self._settings.base_url} does not answer ({cause})", "Check rollout.endpoint and that it is running"
            )
        raise FailureBudgetError(f"{failures} of {total} completions failed, the last with: {cause}")

    def _complete(self, request: Request) -> Completion:
        from openai import OpenAIError

        try:
            response = self._client.chat.completions.create(
                model=self._settings.model,
                messages=[dict(m) for m in request.messages],
                temperature=request.sampling.temperature,
                top_p=request.sampling.top_p,
                max_tokens=request.sampling.max_tokens,
            )
            choice: Any = response.choices[0]
        except (OpenAIError, IndexError) as error:
            cause = (str(error).splitlines() or [type(error).__name__])[0][:300]
            return Completion(request.id, "", (), (), FinishReason.ERROR, engine="endpoint", error=cause)
        finish = FinishReason.LIMIT if choice.finish_reason == "length" else FinishReason.EOS
        return Completion(request.id, choice.message.content or "", (), (), finish, engine="endpoint")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
