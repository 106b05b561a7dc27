"""The rollout tells of each group while others are still being drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from lengthctl.records import Completion, FinishReason
from lengthctl.rollout.backend import OnCompletion, Request, Sampling
from lengthctl.train.generation import PoolGeneration


class FakePool:
    """Answers at once, the last request first."""

    version = 0
    weight_device = "cpu"

    def generate(
        self, requests: Sequence[Request], on_completion: OnCompletion | None, stop: object
    ) -> list[Completion]:
        """See `RolloutPool.generate`."""
        done = [Completion(r.id, f"t{r.prompt_ids[0]}", (5,), (0.0,), FinishReason.EOS) for r in requests]
        if on_completion is not None:
            for completion in reversed(done):
                on_completion(completion)
        return done


def generation(told: list[Any]) -> PoolGeneration:
    def on_group(row: Mapping[str, Any], completions: Sequence[Completion], step: int) -> None:
        told.append((row["name"], [c.text for c in completions], step))

    made = PoolGeneration(FakePool(), Sampling(), on_group=on_group)  # type: ignore[arg-type]
    state = SimpleNamespace(global_step=4)
    made.bind(SimpleNamespace(state=state, model=SimpleNamespace(training=True), eos_token_ids=[0]))
    return made


ROWS = [{"name": name} for name in "aabb"]
PROMPTS = [[n] for n in range(4)]


def test_groups_are_told_of_with_their_row_and_step() -> None:
    told: list[Any] = []
    made = generation(told)
    made.rows = ROWS
    made.generate(PROMPTS, None, 2)
    assert told == [("b", ["t2", "t3"], 4), ("a", ["t0", "t1"], 4)]


def test_those_drawn_ahead_belong_to_the_next_step() -> None:
    told: list[Any] = []
    made = generation(told)
    made.begin(PROMPTS, [], 2, ROWS)
    made.generate(PROMPTS, None, 2)
    assert told == [("b", ["t2", "t3"], 5), ("a", ["t0", "t1"], 5)]


def test_rows_of_another_batch_are_not_taken_for_its_own() -> None:
    told: list[Any] = []
    made = generation(told)
    made.rows = ROWS[:2]
    _, ids, _, _ = made.generate(PROMPTS, None, 2)
    assert ids == [[5]] * 4
    assert told == []
