"""Documents of several calls over one engine: many at a time against one, and calls that follow at once against rounds.

Command: python scripts/bench/room.py OUT.json   (two CPU cores: about 5 minutes)
Each document asks for a few texts one after the other, each with the text so far in its prompt; limits differ, so that
rounds have a tail. Rates are completion tokens a second of `run_documents`, the engine started before.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lengthctl.config import Config, ModelConfig, RewardSpec
from lengthctl.decode.flow import Call, Flow
from lengthctl.pipelines.document_room import Document, Room, RoomReport, run_documents
from lengthctl.pipelines.room_setup import opened_room
from lengthctl.pipelines.step_store import StepStore
from lengthctl.progress import Narrator
from lengthctl.prompt_sources import load_seed_prompts
from lengthctl.records import Completion
from lengthctl.rollout.backend import Backend, OnCompletion, Request, Sampling

ALONE, MANY, AT_ONCE, STEPS, REPEATS = 3, 96, 32, 3, 3
CONTEXT = 1024
LIMITS = (24, 160)
"""Tokens of the shortest and of the longest step."""


class InRounds:
    """The same backend, which takes nothing in while it is at work."""

    def __init__(self, inner: Backend) -> None:
        self.abilities = inner.abilities
        self._inner = inner

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        """What `on_completion` returns is left to the next call."""

        def see(completion: Completion) -> None:
            if on_completion is not None:
                on_completion(completion)

        return self._inner.generate(requests, see)

    def close(self) -> None:
        """Nothing."""


def chapters(request: str, seed: str) -> Flow[str]:
    """A text in steps."""
    drawn, text = random.Random(seed), ""
    for step in range(STEPS):
        prompt = f"{request}\n\nSo far:\n{text[-1500:]}\n\nWrite the next part."
        limit = drawn.randint(*LIMITS)
        (answer,) = yield [Call(f"write/{step}", ({"role": "user", "content": prompt},), limit)]
        text += answer.text + "\n\n"
    return text


def documents(config: Config, count: int, name: str) -> list[Document[str]]:
    """From the built-in requests; each name has texts of its own."""
    seeds = load_seed_prompts(config.prompts, "train")
    asked = [seeds[i % len(seeds)].messages[-1]["content"] for i in range(count)]
    names = [f"{name}-{i}" for i in range(count)]
    return [Document(own, partial(chapters, request, own)) for own, request in zip(names, asked, strict=True)]


def rates(room: Room, config: Config, count: int, name: str) -> tuple[list[float], list[RoomReport]]:
    """Tokens a second of each repeat, after one for warmth."""
    reports = []
    for repeat in range(REPEATS + 1):
        made = documents(config, max(1, count // 8) if repeat == 0 else count, f"{name}-{repeat}")
        reports.append(run_documents(made, room, on_result=lambda document, result: None))
    return [report.completion_tokens / report.seconds for report in reports[1:]], reports[1:]


def main(out: Path) -> None:
    """Three ways over one engine."""
    config = Config(model=ModelConfig(), rewards=[RewardSpec(name="log_ratio")])
    opened = opened_room(
        config, None, sampling=Sampling(), narrator=Narrator(), in_flight=AT_ONCE, context_tokens=CONTEXT
    )
    with opened as room, tempfile.TemporaryDirectory() as folder, StepStore(Path(folder) / "steps.jsonl") as store:
        room = replace(room, store=store, narrator=None)
        alone, _ = rates(replace(room, in_flight=1), config, ALONE, "alone")
        many, reports = rates(room, config, MANY, "many")
        rounds, _ = rates(replace(room, backend=InRounds(room.backend)), config, MANY, "rounds")
    result = {
        "rate_over_one_at_a_time": statistics.median(many) / statistics.median(alone),
        "rate_over_one_at_a_time_range": [min(many) / max(alone), max(many) / min(alone)],
        "rate_over_rounds": statistics.median(many) / statistics.median(rounds),
        "rate_over_rounds_range": [min(many) / max(rounds), max(many) / min(rounds)],
        "tokens_per_second": statistics.median(many),
        "documents_at_once": AT_ONCE,
        "busy_share": statistics.median(report.busy_share for report in reports),
        "mean_calls_out": statistics.median(report.mean_calls_out for report in reports),
    }
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
